"""A job's log records and printed lines, sent as updates."""
