"""Pages about jobs and resources."""
