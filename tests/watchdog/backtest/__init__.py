"""Tests of the backtests."""
