"""Job tracker for extractor-style workers. What a worker needs can be imported from here.

Names are loaded when they are first used: a worker that reports pays for nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobtrail.heartbeat.sender import HeartbeatSender
    from jobtrail.publisher import AsyncReporter, Reporter, cancel, submit

__all__ = ["AsyncReporter", "HeartbeatSender", "Reporter", "cancel", "submit"]

_HOMES = {"HeartbeatSender": "heartbeat.sender"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'publisher')}"), name)
