"""Commands that run the services."""
