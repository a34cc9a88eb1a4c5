"""Runs of MLflow, from a tracking server over HTTP or from a file store. Needs no MLflow here."""
