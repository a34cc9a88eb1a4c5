"""Judgement replayed over histories: what would have been thought, and done."""
