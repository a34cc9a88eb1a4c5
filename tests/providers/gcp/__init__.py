"""Tests of the GCP adapter, against a server of ours under the real SDKs."""
