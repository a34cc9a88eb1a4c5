"""Metered time becomes charges; charges become a breakdown."""
