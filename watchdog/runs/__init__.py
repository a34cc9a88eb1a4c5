"""Run histories: where they come from and how they enter the ledger."""
