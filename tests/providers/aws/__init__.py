"""Tests of the AWS adapter, against moto over HTTP."""
