"""What operators do with dead letters: replay, edit, discard, restore; for the command line and the web."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from jobtrail.models.dead_letters.dead_letter import LetterFilter
from jobtrail.models.dead_letters.replay import Replay
from jobtrail.models.errors import SettingError
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.dead_letters.moves import MAX_MOVED
from jobtrail.store.dead_letters.replays import ReplayRepository

OnProgress = Callable[[int], None]


async def start_replay(
    database: Database,
    selection: LetterFilter,
    *,
    who: str,
    origin: str,
    target: str | None = None,
    rate: float | None = None,
    staged: bool = True,
    include_repeated: bool = False,
) -> Replay:
    """Ask for a replay. It is run by `deadletters.replayer.Replayer`: in this process, or by the service.

    Args:
        database: The trail's database.
        selection: Which letters; of them those that are open, or of unknown outcome, and captured by now.
        who: Who asks.
        origin: From where: a network address, or `cli`.
        target: The queue they go to; None for where each came from.
        rate: Letters per second at the most; None for no limit.
        staged: Whether it waits for outcomes after the first and the tenth letter, and halts when one failed.
        include_repeated: Whether also those are sent that may be repetitions of others; see `LetterFilter.to_replay`.

    Returns:
        The replay.

    Raises:
        SettingError: The rate or the queue's name can't be used.
        NotFoundError: There is no such letter.
        BusyError: Another replay has some of them in its hands.
        StoreError: The database can't be reached.
    """
    if rate is not None and not 0.01 <= rate <= 1_000_000:
        raise SettingError("the rate must be from 0.01 to 1,000,000 letters per second")
    if target is not None and not 0 < len(target.encode()) <= 255:
        raise SettingError("a queue's name has 1 to 255 bytes")
    now = datetime.now(UTC)
    asked = Replay(
        id=uuid4().hex[:12],
        selection=_until(selection.to_replay(include_repeated=include_repeated), now),
        target=target,
        rate=rate,
        staged=staged,
        who=who,
        origin=origin,
        asked_at=now,
        total=0,
    )
    return await ReplayRepository(database).start(asked)


async def discard_letters(
    database: Database, selection: LetterFilter, reason: str, on_progress: OnProgress = lambda _count: None
) -> int:
    """Put letters into the archive, from which they can be restored.

    Args:
        database: The trail's database.
        selection: Which letters; of them those that are open, or of unknown outcome, and captured by now.
        reason: Why; not blank.
        on_progress: Told how many have been discarded.

    Returns:
        How many were discarded.

    Raises:
        SettingError: There is no reason.
        BusyError: A replay has some of them in its hands.
        StoreError: The database can't be reached.
    """
    if not reason.strip():
        raise SettingError("say why: a reason is needed to discard letters")
    selection = _until(selection, datetime.now(UTC))
    await ReplayRepository(database).refuse_overlap(selection)
    letters = LetterRepository(database)
    count = 0
    while moved := await letters.discard(selection, reason.strip()):
        count += moved
        on_progress(count)
        if moved < MAX_MOVED:
            break
    return count


async def restore_letters(
    database: Database, selection: LetterFilter, on_progress: OnProgress = lambda _count: None
) -> int:
    """Take letters out of the archive: they are open again.

    Args:
        database: The trail's database.
        selection: Which letters; of them those that were discarded.
        on_progress: Told how many have been restored.

    Returns:
        How many were restored.

    Raises:
        StoreError: The database can't be reached.
    """
    letters = LetterRepository(database)
    count = 0
    while moved := await letters.restore(selection):
        count += moved
        on_progress(count)
        if moved < MAX_MOVED:
            break
    return count


def _until(selection: LetterFilter, now: datetime) -> LetterFilter:
    """Leave out what is captured later: a letter that fails again must not be sent again by the same replay."""
    return replace(selection, until=min(selection.until, now) if selection.until else now)
