"""Checks the streams of status updates, and the queues that are bridged into them."""

import asyncio

from jobtrail.broker.connection import Connection
from jobtrail.broker.queue_depth import QueueDepth, QueueGauge
from jobtrail.cli.doctor.checks import Check, failed, ok, warning
from jobtrail.cli.doctor.dead_letters import consumer_words, waiting_words
from jobtrail.cli.doctor.stream_probe import (
    QUEUE_TYPE,
    Differences,
    difference_words,
    differences,
    is_stream,
    why_unreadable,
    why_unsupported,
)
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.models.errors import BrokerError, NotFoundError
from jobtrail.models.settings import FORMER_REPLY_QUEUE, Settings
from jobtrail.models.topology import stream_arguments

_NAME = "stream"
_MAKER = "jobtrail consume"
_MAX_CONCURRENT = 8
_LONG_QUEUE = 10_000
_NO_STREAMS_ADVICE = (
    "JobTrail needs streams, which RabbitMQ has since 3.10; after an upgrade of the broker run "
    "`rabbitmqctl enable_feature_flag all`. If your managed broker has none, run a RabbitMQ of your own, set "
    "JOBTRAIL_AMQP_URL to it, and let a shovel bring the updates to it"
)
UNREADABLE_ADVICE = (
    "after a crash RabbitMQ needs some seconds, at most a minute: wait and check again. RabbitMQ 3.10, if killed "
    "within a second of declaring a stream, never gets it back: set JOBTRAIL_REPLY_STREAM to another name, "
    "for the workers too"
)


async def check_streams(settings: Settings) -> list[Check]:
    """Check each stream of updates.

    Raises:
        BrokerError: The broker can't be reached.
    """
    slots = asyncio.Semaphore(_MAX_CONCURRENT)

    async def check(stream: str) -> Check:
        async with slots:
            return await _check(settings, stream)

    return list(await asyncio.gather(*map(check, settings.reply_streams)))


async def check_bridged_queues(settings: Settings) -> list[Check]:
    """Check each bridged queue; the reply queue of earlier versions only where it still exists."""
    gauge = QueueGauge(settings.amqp_url)
    depths = [await gauge.read(queue) for queue in settings.queues_to_bridge]
    return [_bridged(depth) for depth in depths if not (depth.missing and depth.queue == FORMER_REPLY_QUEUE)]


def _bridged(depth: QueueDepth) -> Check:
    name = "bridged queue"
    if depth.problem is not None:
        return warning(name, f"{depth.queue}: {depth.problem}", "check again; is JOBTRAIL_BRIDGED_QUEUES right?")
    if depth.missing:
        advice = "it is bridged once it is declared; is JOBTRAIL_BRIDGED_QUEUES right?"
        return warning(name, f"{depth.queue} does not exist", advice)
    waiting, consumers = depth.waiting or 0, depth.consumers or 0
    found = f"{depth.queue}: {waiting_words(waiting)}, {consumer_words(consumers)}"
    if consumers == 0:
        return warning(name, found, f"its updates are not copied into the stream; start: {_MAKER}")
    if waiting > _LONG_QUEUE:
        return warning(name, found, "look at the consumer's log: the bridge is behind")
    return ok(name, found)


async def _check(settings: Settings, stream: str) -> Check:
    url = settings.require_amqp_url()
    wanted = stream_arguments(
        retention_days=settings.stream_retention_days,
        retention_gb=settings.stream_retention_gb,
        segment_mb=settings.stream_segment_mb,
    )
    async with Connection(url, "jobtrail doctor") as connection:
        try:
            await (await connection.channel()).declare_queue(stream, passive=True)
            found = await differences(connection, stream, wanted)
        except NotFoundError:
            return await _missing(url, stream)
        except BrokerError as error:
            return _unreadable(stream, str(error))
    if not is_stream(found):
        return _no_stream(stream, found)
    if problem := await why_unreadable(url, stream):
        return _unreadable(stream, problem)
    if found:
        words = ", ".join(difference_words(name, value, wanted.get(name)) for name, value in found.items())
        advice = (
            f"used as it is; to change it, set a policy, or delete it once all is stored: {_MAKER} declares it again"
        )
        return warning(_NAME, f"{stream} can be read; {words}", advice)
    kept = f"{settings.stream_retention_days:g} days or {settings.stream_retention_gb:g} GB are kept"
    return ok(_NAME, f"{stream} can be read; {kept}")


async def _missing(url: str, stream: str) -> Check:
    if problem := await why_unsupported(url):
        return failed(_NAME, f"this broker has no streams: {problem}", _NO_STREAMS_ADVICE)
    return warning(_NAME, f"{stream} does not exist yet", f"it is declared by: {_MAKER}")


def _unreadable(stream: str, problem: str) -> Check:
    return failed(_NAME, f"{stream} can't be read: {problem}", UNREADABLE_ADVICE, ExitCode.UNREACHABLE)


def _no_stream(name: str, found: Differences) -> Check:
    kind = found.get(QUEUE_TYPE) or "classic"
    advice = (
        "set JOBTRAIL_REPLY_STREAM to a new name, for the workers too, and list this queue in JOBTRAIL_BRIDGED_QUEUES"
    )
    return failed(_NAME, f"{name} is a {kind} queue, not a stream", advice)
