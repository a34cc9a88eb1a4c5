"""Benchmarks: one command each, ratios against a peer or a limit."""
