"""The outbox and the in-app notifications in MongoDB."""
