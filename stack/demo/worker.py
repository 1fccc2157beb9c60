"""What the demo's workers with our publisher share: a queue, a reporter, heartbeats that list the jobs in flight."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobtrail.heartbeat.sender import HeartbeatSender
from jobtrail.models.settings import Settings, load_settings
from jobtrail.publisher.base_reporter import BaseReporter
from jobtrail.publisher.reporter import Reporter
from jobtrail.stack.demo.work_queue import WorkQueue

HEARTBEAT_INTERVAL_S = 5.0


@contextmanager
def reporting_worker(name: str, version: str, description: str) -> Iterator[tuple[WorkQueue, Reporter]]:
    """Connect a worker to the broker that the settings name.

    Args:
        name: The extractor's name, which is its queue's too.
        version: Its version.
        description: What it does.

    Yields:
        Its queue and its reporter.

    Raises:
        SettingError: There is no broker's URL.
    """
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
    settings: Settings, reporter: BaseReporter, name: str, version: str, description: str
) -> HeartbeatSender:
    """Make a worker's heartbeats, to be used in a `with` statement.

    Args:
        settings: The broker.
        reporter: The worker's reporter.
        name: The extractor's name, which is its queue's too.
        version: Its version.
        description: What it does.

    Returns:
        The sender.

    Raises:
        SettingError: There is no broker's URL.
    """
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
