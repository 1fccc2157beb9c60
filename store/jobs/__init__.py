"""Jobs and their events in MongoDB."""
