"""Checks the streams that status updates are read from, and the queues that are bridged into them."""

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
_AT_ONCE = 8
_LONG_QUEUE = 10_000
_NO_STREAMS_ADVICE = (
    "JobTrail needs streams: RabbitMQ 3.10 or later has them, after an update only once somebody ran "
    "`rabbitmqctl enable_feature_flag all`; where a managed broker has none, run a RabbitMQ of your own, name it in "
    "JOBTRAIL_AMQP_URL, and let a shovel bring the updates to it"
)
UNREADABLE_ADVICE = (
    "after a crash RabbitMQ needs some seconds, at worst a minute: wait and look again. RabbitMQ 3.10 that was killed "
    "within a second of making a stream never gets it back: name another in JOBTRAIL_REPLY_STREAM, for the workers too"
)


async def check_streams(settings: Settings) -> list[Check]:
    """Check each stream of updates.

    Args:
        settings: The settings; the broker's URL must be known.

    Returns:
        The checks.

    Raises:
        BrokerError: The broker can't be reached.
    """
    slots = asyncio.Semaphore(_AT_ONCE)

    async def check(stream: str) -> Check:
        async with slots:
            return await _check(settings, stream)

    return list(await asyncio.gather(*map(check, settings.reply_streams)))


async def check_bridged_queues(settings: Settings) -> list[Check]:
    """Check each queue that is bridged; the reply queue of earlier versions only where it is still there.

    Args:
        settings: The settings; the broker's URL must be known.

    Returns:
        The checks.
    """
    gauge = QueueGauge(settings.amqp_url)
    depths = [await gauge.read(queue) for queue in settings.queues_to_bridge]
    return [_bridged(depth) for depth in depths if not (depth.missing and depth.queue == FORMER_REPLY_QUEUE)]


def _bridged(depth: QueueDepth) -> Check:
    name = "bridged queue"
    if depth.problem is not None:
        return warning(name, f"{depth.queue}: {depth.problem}", "look again; is JOBTRAIL_BRIDGED_QUEUES right?")
    if depth.missing:
        advice = "it is bridged once somebody makes it; is JOBTRAIL_BRIDGED_QUEUES right?"
        return warning(name, f"{depth.queue} is not there", advice)
    waiting, consumers = depth.waiting or 0, depth.consumers or 0
    found = f"{depth.queue}: {waiting_words(waiting)}, {consumer_words(consumers)}"
    if consumers == 0:
        return warning(name, found, f"nobody copies its updates into the stream: start {_MAKER}")
    if waiting > _LONG_QUEUE:
        return warning(name, found, "the bridge is behind; look at the log of the consumer")
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
            f"it is used as it is; to change it set a policy, or delete it once all is stored: {_MAKER} makes it anew"
        )
        return warning(_NAME, f"{stream} can be read; {words}", advice)
    kept = f"{settings.stream_retention_days:g} days or {settings.stream_retention_gb:g} GB are kept"
    return ok(_NAME, f"{stream} can be read; {kept}")


async def _missing(url: str, stream: str) -> Check:
    if problem := await why_unsupported(url):
        return failed(_NAME, f"this broker has no streams: {problem}", _NO_STREAMS_ADVICE)
    return warning(_NAME, f"{stream} is not there yet", f"it is made when this first runs: {_MAKER}")


def _unreadable(stream: str, problem: str) -> Check:
    return failed(_NAME, f"{stream} can't be read: {problem}", UNREADABLE_ADVICE, ExitCode.UNREACHABLE)


def _no_stream(name: str, found: Differences) -> Check:
    kind = found.get(QUEUE_TYPE) or "classic"
    advice = "name a new one in JOBTRAIL_REPLY_STREAM, for the workers too, and this queue in JOBTRAIL_BRIDGED_QUEUES"
    return failed(_NAME, f"{name} is a {kind} queue, not a stream", advice)
