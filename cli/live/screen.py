"""Shows the live table on a terminal, and one line per change of a job elsewhere."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from rich.live import Live
from rich.text import Text

from jobtrail.cli.live.datasets import plain_change
from jobtrail.cli.live.jobs import LiveReader, Snapshot
from jobtrail.cli.live.table import Surroundings, draw, plain_group, plain_job
from jobtrail.cli.output.announcer import Announcer
from jobtrail.models.errors import UnreachableError
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status

INTERVAL_S = 0.5
_LINES_LIMIT = 200
"""Changed jobs to print between two looks at the most; the latest ones."""


class LiveScreen:
    """Looks a few times a second and shows what it sees; on a terminal it takes the whole screen."""

    def __init__(self, reader: LiveReader, around: Surroundings, announcer: Announcer) -> None:
        self._reader = reader
        self._around = around
        self._announcer = announcer
        self._shown: dict[tuple[str, ...], tuple[object, ...]] = {}

    async def show(self) -> None:
        """Show what happens until cancelled."""
        console = self._announcer.console
        if not console.is_terminal:
            await self._repeat(self._print_changes, lambda: _LINES_LIMIT)
            return
        with (
            self._announcer.held(),
            Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live,
        ):

            def redraw(snapshot: Snapshot) -> None:
                around = replace(self._around, notice=self._announcer.notice)
                live.update(draw(snapshot, around, width=console.width, height=console.height), refresh=True)

            live.update(Text("Waiting for the first look …"), refresh=True)
            await self._repeat(redraw, lambda: console.height)

    async def _repeat(self, show: Callable[[Snapshot], None], limit: Callable[[], int]) -> None:
        while True:
            try:
                show(await self._reader.read(limit()))
            except UnreachableError as error:
                self._announcer.say(f"{error}; trying again")
            await asyncio.sleep(INTERVAL_S)

    def _print_changes(self, snapshot: Snapshot) -> None:
        """Print what changed since the last look, the oldest first, without the jobs of earlier runs."""
        since = self._around.started_at
        for job in reversed(snapshot.jobs):
            if job.seen_at >= since and self._is_news(("job", job.job_id), _milestone(job)):
                self._announcer.say(plain_job(job))
        for group in reversed(snapshot.unnamed):
            key = ("group", group.extractor_id, group.resource_id)
            if group.updated_at >= since and self._is_news(key, (group.status, group.first_at)):
                self._announcer.say(plain_group(group))
        for change in reversed(snapshot.changes):
            if change.created_at and change.created_at >= since and self._is_news(("dataset", change.key), ()):
                self._announcer.say(plain_change(change))

    def _is_news(self, key: tuple[str, ...], state: tuple[object, ...]) -> bool:
        if self._shown.get(key) == state:
            return False
        self._shown[key] = state
        return True


def _milestone(job: JobState) -> tuple[object, ...]:
    """What of a job is worth a new line when it changes; its start and its progress count as one."""
    return (Status.STARTED if job.status.is_running else job.status, job.attempts)
