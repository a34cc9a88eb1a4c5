"""GCP: machines, metrics, prices, storage, egress and history of projects."""
