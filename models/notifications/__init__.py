"""Notifications: alerts, outbox entries, channels."""
