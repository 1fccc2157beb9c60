"""Updates that wait on disk until the broker is back."""
