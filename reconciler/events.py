"""Job events as a source: finds out which datasets the changed jobs are about, and when to look at them again.

One process at a time watches, others stand by. What it does may be done twice and is never left out: the resume token
is kept after the effect, and whoever begins to watch looks at every open dataset once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice

import structlog

from jobtrail.models.errors import OwnershipLostError, StoreError
from jobtrail.models.settings import Settings
from jobtrail.runtime.backoff import Backoff
from jobtrail.runtime.sleep import sleep_until
from jobtrail.store.datasets.batch_jobs import BatchJobRepository
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.jobs import DatasetJobs
from jobtrail.store.jobs.changes import ChangeBatch, JobChanges, job_changes
from jobtrail.store.leases.lease import TTL_S, Lease

log = structlog.get_logger()

OnDatasets = Callable[[Sequence[str]], Awaitable[Mapping[str, datetime] | None]]
"""Called with the ids of open datasets whose jobs have news; returns which to look at again and when, UTC.

May raise `StoreError`: then it is called with the same again."""
OnTakeOver = Callable[[str], Awaitable[None]]
"""Called with the purpose, `NAME`, when this process is the one to watch from now on; see `FencedWriter.take_over`."""

NAME = "dataset events"
"""Under which the lease, the writer's session and the resume token are kept."""
_TICK_S = 0.5
"""Seconds after which a request to stop is noticed at the latest."""
_MAX_DUE = 200
"""Datasets that are looked at again together at the most, so that fresh news need not wait for all of them."""
_KEEP_EVERY_S = 10.0
"""Seconds after which the token is kept even when no job has changed, lest the oplog moves on past it."""


class EventWatch:
    """Watches jobs for news of open datasets and of batch jobs.

    `lease_ttl_s`: seconds after which another process takes over from one that died.
    """

    def __init__(
        self,
        console: Console,
        settings: Settings,
        on_datasets: OnDatasets,
        on_take_over: OnTakeOver,
        *,
        lease_ttl_s: float = TTL_S,
    ) -> None:
        self._database = console.database
        self._on_datasets = on_datasets
        self._on_take_over = on_take_over
        self._datasets = DatasetJobs(console)
        self._batch_jobs = BatchJobRepository(console)
        self._lease = Lease(console.database, NAME, ttl_s=lease_ttl_s)
        self._stand_by_s = lease_ttl_s / 3
        self._backoff = Backoff(most_s=settings.retry_max_wait_s)
        self._due: dict[str, datetime] = {}
        self._kept_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Watch, or stand by while another process does, until stopped; outages of the database are waited out."""
        standing_by = False
        while not stop.is_set():
            try:
                holder = await self._lease.acquire()
                if holder is None:
                    standing_by = False
                    await self._lease.while_held(partial(self._watch, stop))
                    continue
                if not standing_by:
                    log.info("Standing by", action="reconciler.standing_by", holder=holder.name)
                standing_by = True
                await sleep_until(self._stand_by_s, stop)
            except (StoreError, OwnershipLostError) as error:
                await self._pause(error, stop)

    async def _watch(self, stop: asyncio.Event) -> None:
        """Watch as the one that holds the lease: through as many streams as it takes."""
        await self._on_take_over(NAME)
        caught_up = False
        while not stop.is_set():
            try:
                async with job_changes(self._database, NAME) as changes:
                    caught_up = caught_up and changes.resumed
                    if not caught_up:
                        await self._catch_up()
                        caught_up = True
                    log.info("Watching jobs", action="reconciler.watching", resumed=changes.resumed)
                    while not stop.is_set():
                        await self._handle(await changes.take(self._until_due_s()), changes)
                        self._backoff.reset()
            except StoreError as error:
                await self._pause(error, stop)

    async def _catch_up(self) -> None:
        """Make every open dataset due, after the stream was opened: what happens from now on is in the stream."""
        await self._batch_jobs.catch_up()
        self._due = dict.fromkeys(await self._datasets.open_ids(), datetime.now(UTC))

    async def _handle(self, batch: ChangeBatch, changes: JobChanges) -> None:
        await self._batch_jobs.follow(batch.job_ids)
        now = datetime.now(UTC)
        due = set(islice((dataset_id for dataset_id, at in self._due.items() if at <= now), _MAX_DUE))
        open_ids = await self._datasets.open_ids(batch.resource_ids | due)
        again = await self._on_datasets(open_ids) if open_ids else None
        for dataset_id in due.union(open_ids):
            self._due.pop(dataset_id, None)
        self._due.update(again or {})
        clock = asyncio.get_running_loop().time()
        if batch.job_ids or clock - self._kept_at >= _KEEP_EVERY_S:
            await changes.keep(batch.token)
            self._kept_at = clock

    def _until_due_s(self) -> float:
        first = min(self._due.values(), default=None)
        return _TICK_S if first is None else min(_TICK_S, max(0.0, (first - datetime.now(UTC)).total_seconds()))

    async def _pause(self, error: Exception, stop: asyncio.Event) -> None:
        wait_s = self._backoff.next_s()
        log.warning(
            "Watch interrupted", action="reconciler.watch_interrupted", error=str(error), wait_s=round(wait_s, 2)
        )
        await sleep_until(wait_s, stop)
