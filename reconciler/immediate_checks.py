"""Asks the API at once about datasets whose jobs are done, beside the watch, which need not wait for the answers."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

import structlog

from jobtrail.models.errors import StoreError
from jobtrail.models.settings import Settings
from jobtrail.reconciler.check_runner import CheckRunner
from jobtrail.runtime.backoff import Backoff
from jobtrail.runtime.tasks import cancel_and_wait

log = structlog.get_logger()


class ImmediateChecks:
    """Follows each dataset until it has ended, or jobs work on it again. Use it as a context manager.

    What it has in hand when its process dies is not lost: whoever watches next looks at every open dataset.
    """

    def __init__(self, runner: CheckRunner, settings: Settings) -> None:
        self._runner = runner
        self._most_wait_s = settings.retry_max_wait_s
        self._following: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> "ImmediateChecks":
        return self

    async def __aexit__(self, *_error: object) -> None:
        await asyncio.gather(*(cancel_and_wait(task) for task in list(self._following.values())))

    def add(self, dataset_ids: Collection[str]) -> None:
        """Begin to follow datasets; those that are followed already are passed over."""
        for dataset_id in dataset_ids:
            if dataset_id not in self._following:
                self._following[dataset_id] = asyncio.create_task(self._follow(dataset_id))

    async def _follow(self, dataset_id: str) -> None:
        backoff = Backoff(most_s=self._most_wait_s)
        try:
            while True:
                try:
                    again_at = await self._runner.check_ended(dataset_id)
                except StoreError:  # logged by the runner
                    await asyncio.sleep(backoff.next_s())
                    continue
                if again_at is None:
                    return
                await asyncio.sleep(max(0.0, (again_at - datetime.now(UTC)).total_seconds()))
        except Exception:
            # The next run checks it again; the watch goes on.
            log.exception("Dataset no longer followed", action="dataset.follow_failed", dataset_id=dataset_id)
        finally:
            self._following.pop(dataset_id, None)
