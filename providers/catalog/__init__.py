"""Prices, accelerators and board power that are known without asking a cloud, with their dates."""
