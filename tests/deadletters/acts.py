"""Acts on dead letters as tests do them: by somebody who is only a name."""

from typing import Any

from jobtrail.models.dead_letters.dead_letter import LetterFilter
from jobtrail.models.dead_letters.replay import Replay
from jobtrail.models.token import Role
from jobtrail.operations.audit import Actor, AuditBook
from jobtrail.operations.dead_letters import DeadLetterActs
from jobtrail.store.access.audit import AuditRepository
from jobtrail.store.database import Database


def acts(database: Database) -> DeadLetterActs:
    """The acts, on record in the same database."""
    return DeadLetterActs(database, AuditBook(AuditRepository(database)))


def actor(who: str = "ann", origin: str = "cli") -> Actor:
    """Somebody."""
    return Actor(name=who, role=Role.OPERATOR, user_id=None, origin=origin)


async def start_replay(database: Database, selection: LetterFilter, *, who: str, origin: str, **how: Any) -> Replay:
    """Request a replay."""
    return await acts(database).replay(actor(who, origin), selection, **how)


async def discard_letters(database: Database, selection: LetterFilter, reason: str) -> int:
    """Discard dead letters."""
    return await acts(database).discard(actor(), selection, reason)


async def restore_letters(database: Database, selection: LetterFilter) -> int:
    """Restore dead letters."""
    return await acts(database).restore(actor(), selection)
