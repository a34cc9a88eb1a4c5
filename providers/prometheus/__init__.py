"""Readings of any machine from a Prometheus that scrapes NVIDIA's DCGM exporter."""
