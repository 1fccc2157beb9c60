"""Conservation audits for many readers: each costs the database much, so those of one moment are shared."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from jobtrail.deadletters.accounting import Audit, audit
from jobtrail.models.errors import SettingError
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database

KEPT_S = 5.0
"""Seconds for which what was found is kept."""
FARTHEST = timedelta(days=8)
"""How far back is looked at the most; `jobtrail verify --messages` looks farther."""


class KeptAudits:
    """Runs conservation audits; all who ask for the same hours while one runs, or within `KEPT_S`, share it."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._asked: Mapping[datetime, tuple[float, asyncio.Task[Audit]]] = {}

    async def read(self, since: datetime) -> Audit:
        """Audit the hours since some moment."""
        now = datetime.now(UTC)
        if not now - FARTHEST <= since <= now:
            raise SettingError(
                f"since must lie in the last {FARTHEST.days} days; `jobtrail verify --messages` looks farther back"
            )
        hour = since.replace(minute=0, second=0, microsecond=0)
        now_s = time.monotonic()
        self._asked = {
            key: (at_s, task) for key, (at_s, task) in self._asked.items() if not task.done() or now_s - at_s <= KEPT_S
        }
        if hour not in self._asked:
            task = asyncio.create_task(audit(self._settings, self._database, hour))
            self._asked = {**self._asked, hour: (now_s, task)}
        # A reader who leaves must not take the answer from the others.
        return await asyncio.shield(self._asked[hour][1])
