"""Outbox entries for tests, and short cuts to dispatch them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.models.notifications.alert import Alert, AlertKind
from jobtrail.models.notifications.outbox import (
    Body,
    DatasetNews,
    Envelope,
    OutboxEntry,
    RunSummary,
    Timings,
)
from jobtrail.models.notifications.pusher_channels import dataset_channel
from jobtrail.models.settings import ChannelName, Settings
from jobtrail.reconciler.channels.base import NotificationChannel
from jobtrail.reconciler.channels.configured import channels_on
from jobtrail.reconciler.channels.metrics import OutboxMetrics
from jobtrail.reconciler.dispatcher import Dispatcher
from jobtrail.store.database import Database
from tests.reconciler.servers.slack_server import CHANNEL, TOKEN

AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


def news(dataset_id: str = "ds-1", *, failed: bool = False, **fields: object) -> DatasetNews:
    body = DatasetNews(
        dataset_id=dataset_id,
        status=DatasetStatus.FAILED if failed else DatasetStatus.COMPLETE,
        wishlist="Winter shoes",
        created_at=AT - timedelta(minutes=12, seconds=5),
        ended_at=AT,
        error_message="no images" if failed else None,
    )
    return replace(body, **fields)  # type: ignore[arg-type]  # the test names real fields


def alert(**fields: object) -> Alert:
    body = Alert(kind=AlertKind.API_TIMEOUT, cause="no answer within 10 s", at=AT, run_id="run-1")
    return replace(body, **fields)  # type: ignore[arg-type]  # the test names real fields


def summary(**fields: object) -> RunSummary:
    timings = Timings(count=120, mean_s=0.02, p95_s=0.05, most_s=1.5)
    body = RunSummary(
        run_id="run-1",
        started_at=AT,
        duration_s=3.2,
        checked=120,
        statuses={"Pending": 100, "Analyzing": 15, "Complete": 5},
        outcomes={"changed": 5, "unchanged": 115},
        changes={"Analyzing → Complete": 5},
        errors={},
        api=timings,
        database=timings,
    )
    return replace(body, **fields)  # type: ignore[arg-type]  # the test names real fields


def entry(
    channel: ChannelName, body: Body | None = None, *, recipient: str | None = None, cause: str = ""
) -> OutboxEntry:
    """Make an entry that is due."""
    body = body or news()
    dataset_id = body.dataset_id if isinstance(body, DatasetNews) else None
    default = {
        ChannelName.SLACK: CHANNEL,
        ChannelName.EMAIL: "ada@example.org",
        ChannelName.PUSHER: dataset_channel(dataset_id or "none"),
    }
    recipient = recipient or default[channel]
    what = dataset_id or getattr(body, "run_id", "")
    return OutboxEntry(
        key=f"{what}:{getattr(body, 'status', type(body).__name__)}:{channel}:{recipient}",
        channel=channel,
        recipient=recipient,
        body=body,
        cause=cause or type(body).__name__,
        created_at=AT,
        not_before=AT,
        dataset_id=dataset_id,
    )


def failures(count: int, *, cause: str = "no images", prefix: str = "ds") -> list[OutboxEntry]:
    """Make Slack entries of datasets that failed for one cause."""
    bodies = [news(f"{prefix}-{number:03}", failed=True, error_message=cause) for number in range(count)]
    return [entry(ChannelName.SLACK, body, cause=cause) for body in bodies]


def envelope(*entries: OutboxEntry) -> Envelope:
    return Envelope(key=entries[0].key, holder="test", entries=entries)


def with_channels(
    settings: Settings, *, slack: str | None = None, smtp: str | None = None, pusher: str | None = None, **more: object
) -> Settings:
    """Turn channels on, by their servers' URLs."""
    changes: dict[str, object] = {}
    if slack:
        changes = {"slack_url": slack, "slack_token": SecretStr(TOKEN), "slack_channel": CHANNEL}
    if smtp:
        changes["smtp_url"] = SecretStr(smtp)
    if pusher:
        changes["pusher_url"] = SecretStr(pusher)
    return settings.model_copy(update=changes | more)


def dispatcher(
    settings: Settings,
    database: Database,
    registry: CollectorRegistry | None = None,
    *,
    channels: Sequence[NotificationChannel] | None = None,
) -> Dispatcher:
    metrics = OutboxMetrics(registry or CollectorRegistry())
    return Dispatcher(settings, database, channels or channels_on(settings), metrics)


@asynccontextmanager
async def dispatching(*dispatchers: Dispatcher) -> AsyncIterator[Sequence[asyncio.Task[None]]]:
    """Run dispatchers; they are stopped as by SIGTERM."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        yield [tasks.create_task(one.run(stop)) for one in dispatchers]
        stop.set()
