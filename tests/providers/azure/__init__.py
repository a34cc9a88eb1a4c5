"""Tests of the Azure adapter."""
