"""The sessions that go on. A signed cookie alone can't be taken back, and whoever reads the signing key could make one.

Kept are hashes, as of tokens: the id itself only its browser has.
"""

from datetime import datetime
from hashlib import sha256

from jobtrail.store.database import Database, translated


class SessionRepository:
    """The sessions, in the collection `sessions`; MongoDB removes those that have expired."""

    def __init__(self, database: Database) -> None:
        self._sessions = database.collection("sessions")

    async def add(self, session_id: str, *, expires_at: datetime) -> None:
        """Note that a session has begun."""
        with translated():
            await self._sessions.insert_one({"_id": _hash(session_id), "expires_at": expires_at})

    async def has(self, session_id: str) -> bool:
        """Tell whether a session has begun and nobody has ended it."""
        with translated():
            return await self._sessions.find_one({"_id": _hash(session_id)}) is not None

    async def remove(self, session_id: str) -> None:
        """Note that a session is over."""
        with translated():
            await self._sessions.delete_one({"_id": _hash(session_id)})


def _hash(session_id: str) -> str:
    return sha256(session_id.encode()).hexdigest()
