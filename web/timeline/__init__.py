"""A job's timeline, drawn to scale."""
