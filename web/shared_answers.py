"""Expensive answers, shared by all who ask at about the same time."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable, Mapping
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SharedAnswers(Generic[K, T]):
    """Asks once per key; all who ask meanwhile, or up to `kept_s` seconds later, share the answer."""

    def __init__(self, ask: Callable[[K], Coroutine[Any, Any, T]], kept_s: float) -> None:
        self._ask = ask
        self._kept_s = kept_s
        self._tasks: Mapping[K, tuple[float, asyncio.Task[T]]] = {}

    async def read(self, key: K) -> T:
        """Return the answer of a key."""
        now_s = time.monotonic()
        tasks = {each: kept for each, kept in self._tasks.items() if self._is_good(kept, now_s)}
        if key not in tasks:
            tasks[key] = now_s, asyncio.create_task(self._ask(key))
        self._tasks = tasks
        # A reader who leaves must not take the answer from the others.
        return await asyncio.shield(tasks[key][1])

    def forget(self) -> None:
        """Ask again for the next reader: something has changed."""
        self._tasks = {}

    def _is_good(self, kept: tuple[float, asyncio.Task[T]], now_s: float) -> bool:
        asked_s, task = kept
        if not task.done():
            return True
        return now_s - asked_s <= self._kept_s and not task.cancelled() and task.exception() is None
