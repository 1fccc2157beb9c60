"""The log of updates in the database."""
