"""Invariants that every adapter inherits."""
