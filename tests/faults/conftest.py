"""Fixtures: consumers as processes."""

from tests.consumer.conftest import consumer_process

__all__ = ["consumer_process"]
