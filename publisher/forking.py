"""What a worker's forked children must know: threads, connections and database handles stay the parent's."""

import ctypes
import os
import threading
from typing import Protocol
from weakref import WeakSet

guard = threading.RLock()
"""The one lock of the publisher's memory and disk. A fork waits for it, so that no thread is inside SQLite, whose own
locks would stay locked in the child for ever. Reentrant: a signal handler may report amid a report of its thread."""

_incref = ctypes.pythonapi.Py_IncRef


class ForkAware(Protocol):
    """Something that must start afresh in a forked child."""

    def after_fork(self) -> None:
        """Forget what belongs to the parent; called in the child, before anything else runs there."""


_aware: WeakSet[ForkAware] = WeakSet()


def tell_after_fork(listener: ForkAware) -> None:
    """Have an object's `after_fork` called in every child that this process forks from now on.

    Args:
        listener: The object; it is not kept alive by this.
    """
    _aware.add(listener)


def never_free(handle: object) -> None:
    """Keep an object until the process is gone, so that nothing is called to tidy it up.

    Args:
        handle: The object.
    """
    _incref(ctypes.py_object(handle))


def _in_child() -> None:
    for listener in list(_aware):
        listener.after_fork()
    guard.release()


os.register_at_fork(before=guard.acquire, after_in_parent=guard.release, after_in_child=_in_child)
