"""The plumbing of services."""
