"""Machines on Microsoft Azure."""
