"""What the demo's workers share: a queue, a reporter, heartbeats that list the jobs in flight."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobtrail.heartbeat.sender import HeartbeatSender
from jobtrail.models.settings import Settings, load_settings
from jobtrail.publisher.base_reporter import BaseReporter
from jobtrail.publisher.reporter import Reporter
from jobtrail.stack.demo.work_queue import WorkQueue

HEARTBEAT_INTERVAL_S = 5.0


@contextmanager
def reporting_worker(name: str, version: str, description: str) -> Iterator[tuple[WorkQueue, Reporter]]:
    """Connect a worker to the broker in the settings; its queue has its name."""
    settings = load_settings()
    amqp_url = settings.require_amqp_url()
    with (
        WorkQueue(amqp_url, name) as queue,
        Reporter(
            amqp_url,
            name,
            reply_queue=settings.reply_stream,
            partitions=settings.reply_partitions,
            spool_path=spool_folder(settings),
        ) as reporter,
        heartbeats(settings, reporter, name, version, description),
    ):
        yield queue, reporter


def heartbeats(
    settings: Settings, reporter: BaseReporter[Any], name: str, version: str, description: str
) -> HeartbeatSender:
    """Make the sender of a worker's heartbeats, for a `with` block."""
    return HeartbeatSender(
        settings.require_amqp_url(),
        {"name": name, "version": version, "description": description},
        queue=name,
        instance_id=reporter.instance_id,
        interval_s=HEARTBEAT_INTERVAL_S,
        jobs_in_flight=reporter.jobs_in_flight,
    )


def spool_folder(settings: Settings) -> Path:
    """Return where the demo's workers keep their unsent updates."""
    return settings.data_dir / "demo" / "spool"
