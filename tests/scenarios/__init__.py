"""Whole stories on the real adapter."""
