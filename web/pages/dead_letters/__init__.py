"""Pages about dead letters."""
