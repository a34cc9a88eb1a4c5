"""The ledger, on real folders and a real S3 API."""
