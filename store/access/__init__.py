"""Tokens, sessions and the audit log in MongoDB."""
