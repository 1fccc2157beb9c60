"""Live updates: one change stream per process, told on to everybody who listens."""
