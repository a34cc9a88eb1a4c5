"""The agent: one small process on a machine that tells the ledger's inbox what its GPUs do.

It must stay small, so nothing here may load pandas, DuckDB, Delta Lake or a cloud's SDK.
"""
