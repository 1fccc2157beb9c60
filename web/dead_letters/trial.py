"""Dry runs that somebody waits for: bounded, as all letters there are may be a million."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobtrail.deadletters.dry_run import DryRunner
from jobtrail.deadletters.outgoing import target_of
from jobtrail.models.dead_letters.dead_letter import UNSETTLED, DeadLetter, LetterFilter
from jobtrail.models.dead_letters.dry_run import DryRun
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.dead_letters import LetterRepository

MAX_JUDGED = 20_000
"""Letters of one dry run over the web; the command line judges them all."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Trial:
    """What a replay would come to."""

    result: DryRun
    is_whole: bool
    """All letters of the selection were judged; otherwise only the oldest of them."""


async def try_out(
    settings: Settings,
    database: Database,
    selection: LetterFilter,
    target: str | None,
    *,
    include_repeated: bool = False,
) -> Trial:
    """Judge the letters of a selection that can be replayed, the oldest first.

    Args:
        settings: The settings.
        database: The trail's database; it is only read.
        selection: Which letters.
        target: The queue that they would go to; None for where each came from.
        include_repeated: As in `operations.dead_letter_acts.start_replay`.

    Returns:
        What they would come to.

    Raises:
        StoreError: The database can't be reached.
    """
    judge = DryRunner(settings, database, target)
    selection = selection.to_replay(include_repeated=include_repeated)
    result = DryRun()
    async for letters in LetterRepository(database).stream(selection.among(UNSETTLED)):
        judged: Sequence[DeadLetter] = letters[: MAX_JUDGED - result.total]
        for letter, judgement in zip(judged, await judge.judge(judged), strict=True):
            result.add(judgement, target_of(letter, target, settings))
        if len(judged) < len(letters):
            return Trial(result=result, is_whole=False)
    return Trial(result=result, is_whole=True)
