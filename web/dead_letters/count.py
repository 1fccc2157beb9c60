"""How many dead letters wait for somebody: the figure in the bar on top of every page of an operator."""

import asyncio
import time

from jobtrail.models.token import Role
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.web.auth.identity import Identity

KEPT_S = 2.0
"""Seconds for which the figure is kept: it stands on every page."""


class LetterCount:
    """Counts the letters about which something is to be done; all who ask at once share one answer."""

    def __init__(self, causes: CauseRepository) -> None:
        self._causes = causes
        self._asked_s = 0.0
        self._task: asyncio.Task[int] | None = None

    async def read(self, identity: Identity) -> int | None:
        """Count them."""
        if identity.role is not Role.OPERATOR:
            return None
        now_s = time.monotonic()
        if self._task is None or now_s - self._asked_s > KEPT_S or not _is_good(self._task):
            self._asked_s = now_s
            self._task = asyncio.create_task(self._causes.unsettled())
        # A reader who leaves must not take the answer from the others.
        return await asyncio.shield(self._task)

    def forget(self) -> None:
        """Count anew for the next page: somebody has just changed something."""
        self._task = None


def _is_good(task: asyncio.Task[int]) -> bool:
    return not task.done() or (not task.cancelled() and task.exception() is None)
