"""Pure data, no I/O: wire messages, documents, statuses, the job state machine and the settings."""
