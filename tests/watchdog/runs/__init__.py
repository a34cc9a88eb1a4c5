"""Runs: what enters the ledger from outside."""
