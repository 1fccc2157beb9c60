"""The log's position, and all that is stored in the same transaction."""
