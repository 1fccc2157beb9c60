"""`jobtrail forward`: copies updates from the log to another queue."""
