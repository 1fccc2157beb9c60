"""Reads of a Clowder's own collections, and documents in Clowder's shape."""
