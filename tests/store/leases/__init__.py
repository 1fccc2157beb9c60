"""Leases, and who may write."""
