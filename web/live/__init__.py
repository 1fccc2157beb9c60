"""Live updates: one change stream per process, passed on to every listener."""
