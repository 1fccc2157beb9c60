"""Message accounting for many readers: it is expensive, so those of one moment share it."""

from datetime import UTC, datetime, timedelta

from jobtrail.deadletters.accounting import Audit, audit
from jobtrail.models.errors import SettingError
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.web.shared_answers import SharedAnswers

KEPT_S = 5.0
MAX_AGE = timedelta(days=8)
"""How far back the web looks; `jobtrail verify --messages` looks farther."""


class SharedAccounting:
    """Accounts for messages; readers of the same hours share the result for `KEPT_S` seconds."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._answers = SharedAnswers(self._audit, KEPT_S)

    async def read(self, since: datetime) -> Audit:
        """Account for the messages from the hour of `since` on; `SettingError` if that is too long ago, or ahead."""
        now = datetime.now(UTC)
        if not now - MAX_AGE <= since <= now:
            raise SettingError(
                f"since must lie in the last {MAX_AGE.days} days; `jobtrail verify --messages` looks farther back"
            )
        return await self._answers.read(since.replace(minute=0, second=0, microsecond=0))

    async def _audit(self, hour: datetime) -> Audit:
        return await audit(self._settings, self._database, hour)
