"""Dry runs for somebody who waits: bounded, as there may be a million dead letters."""

from jobtrail.deadletters.dry_run import DryRunner
from jobtrail.models.dead_letters.dead_letter import LetterFilter
from jobtrail.models.dead_letters.dry_run import DryRun
from jobtrail.web.parts import Parts

MAX_JUDGED = 20_000
"""Dead letters of one dry run over the web; the command line judges them all."""


async def bounded_dry_run(
    parts: Parts, selection: LetterFilter, target: str | None, *, include_repeated: bool = False
) -> DryRun:
    """Judge what a replay would send, up to `MAX_JUDGED`, the oldest first."""
    selection = selection.to_replay(include_repeated=include_repeated)
    return await DryRunner(parts.settings, parts.database, target).run(selection, limit=MAX_JUDGED)
