"""Commands about tokens and the audit log."""
