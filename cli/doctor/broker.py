"""Checks the broker: can it be reached, and are its queues as they should be? Nothing is created or changed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from pika.exceptions import AuthenticationError, ProbableAuthenticationError

from jobtrail.broker.address import broker_address
from jobtrail.broker.channel import Arguments, Channel
from jobtrail.broker.connection import Connection
from jobtrail.broker.errors import is_precondition_failure
from jobtrail.cli.doctor.checks import Check, failed, ok, warning
from jobtrail.cli.doctor.dead_letters import consumer_words, judge_captured, waiting_words
from jobtrail.cli.doctor.stream_probe import difference_words, differences, is_blocked
from jobtrail.cli.doctor.streams import check_bridged_queues, check_streams
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.heartbeat.subscription import MAX_WAITING
from jobtrail.models.errors import BrokerError, NotFoundError
from jobtrail.models.settings import Settings
from jobtrail.models.topology import HEARTBEAT_EXCHANGE, dead_letter_queue_arguments, heartbeat_queue_arguments

_TIMEOUT_S = 60.0
"""For each part; each question has a shorter deadline of its own."""
_MIN_VERSION = (3, 10)

T = TypeVar("T")
Judge = Callable[[str, int, int], Check]
"""Takes the check's name, the number of waiting messages and the number of consumers."""


@dataclass(slots=True, frozen=True, kw_only=True)
class _Queue:
    """How a queue should be."""

    title: str
    name: str
    arguments: Arguments
    maker: str
    """The command that declares it."""
    judge: Judge


async def check_broker(settings: Settings) -> list[Check]:
    """Check the broker and everything on it that the settings name.

    Raises:
        SettingError: The broker's URL is wrong.
    """
    place = _place(settings.require_amqp_url())
    checks: list[Check] = []
    for check in (_server, check_streams, _queues, check_bridged_queues):
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                checks += await check(settings)
        except (BrokerError, TimeoutError) as error:
            return [*checks, _unreachable(place, error)]
    return checks


def _place(amqp_url: str) -> str:
    return f"amqp://{broker_address(amqp_url)}"


def _unreachable(place: str, error: BrokerError | TimeoutError) -> Check:
    if isinstance(error.__cause__, AuthenticationError | ProbableAuthenticationError):
        advice = "RabbitMQ refused the user or the password: correct them in JOBTRAIL_AMQP_URL"
    else:
        advice = "start RabbitMQ or correct JOBTRAIL_AMQP_URL; to start a private one: jobtrail up"
    words = str(error) or f"{place} did not answer within {_TIMEOUT_S:g} s"
    return failed("broker", words, advice, ExitCode.UNREACHABLE)


async def _server(settings: Settings) -> list[Check]:
    url = settings.require_amqp_url()
    async with Connection(url, "jobtrail doctor") as connection:
        product, version = connection.server
    checks = [_version(f"{product} {version} at {_place(url)}", version)]
    if await is_blocked(url):
        words = "blocked: the broker is short of memory or disk"
        checks.append(
            warning(
                "publishing",
                words,
                "workers wait and lose nothing; give the broker more memory or disk, or empty its queues",
            )
        )
    return checks


def _version(found: str, version: str) -> Check:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < _MIN_VERSION:
        return warning("broker", found, "JobTrail is tested with RabbitMQ 3.10 and later")
    return ok("broker", found)


async def _queues(settings: Settings) -> list[Check]:
    async with Connection(settings.require_amqp_url(), "jobtrail doctor") as connection:
        checks = [await _exchange(connection)]
        return checks + [await _compare(connection, queue) for queue in (_inbox(settings), _heartbeats(settings))]


async def _exchange(connection: Connection) -> Check:
    name = "heartbeat exchange"
    try:
        await _ask(connection, _look_for_exchange)
        # It exists, so this only compares.
        await _ask(connection, lambda channel: channel.declare_exchange(HEARTBEAT_EXCHANGE, "fanout"))
    except NotFoundError:
        return warning(name, f"{HEARTBEAT_EXCHANGE} does not exist yet", "the monitor declares it: jobtrail monitor")
    except BrokerError as error:
        if not is_precondition_failure(error):
            raise
        return failed(
            name,
            f"{HEARTBEAT_EXCHANGE} is not a durable fanout exchange",
            "delete it; pyClowder and the monitor declare it again",
        )
    return ok(name, f"{HEARTBEAT_EXCHANGE}, durable, fanout")


async def _look_for_exchange(channel: Channel) -> None:
    await channel.ask(lambda answer: channel.raw.exchange_declare(HEARTBEAT_EXCHANGE, passive=True, callback=answer))


def _inbox(settings: Settings) -> _Queue:
    def judge(name: str, waiting: int, consumers: int) -> Check:
        return judge_captured(name, settings.dead_letter_queue, waiting, consumers)

    return _Queue(
        title="dead-letter queue",
        name=settings.dead_letter_queue,
        arguments=dead_letter_queue_arguments(),
        maker="jobtrail deadletters capture",
        judge=judge,
    )


def _heartbeats(settings: Settings) -> _Queue:
    def judge(name: str, waiting: int, consumers: int) -> Check:
        found = f"{settings.heartbeat_queue}: {waiting_words(waiting)}, {consumer_words(consumers)}"
        if consumers == 0:
            return warning(
                name, found, "heartbeats are not stored, so no extractor shows as online; start: jobtrail monitor"
            )
        return ok(name, found)

    return _Queue(
        title="heartbeat queue",
        name=settings.heartbeat_queue,
        arguments=heartbeat_queue_arguments(int(2000 * settings.instance_timeout_s), MAX_WAITING),
        maker="jobtrail monitor",
        judge=judge,
    )


async def _compare(connection: Connection, queue: _Queue) -> Check:
    """Compare a queue with how it should be."""
    try:
        declared = await _ask(connection, lambda channel: channel.declare_queue(queue.name, passive=True))
        found = await differences(connection, queue.name, queue.arguments)
    except NotFoundError:
        return warning(queue.title, f"{queue.name} does not exist yet", f"it is declared by: {queue.maker}")
    if found:
        words = ", ".join(difference_words(name, value, queue.arguments.get(name)) for name, value in found.items())
        return failed(
            queue.title,
            f"{queue.name} has wrong arguments: {words}",
            f"stop its users, move its messages elsewhere, delete it, and declare it again with: {queue.maker}",
        )
    return queue.judge(queue.title, declared.messages, declared.consumers)


async def _ask(connection: Connection, question: Callable[[Channel], Awaitable[T]]) -> T:
    """Ask on a channel of its own, which a refusal closes."""
    channel = await connection.channel()
    try:
        return await question(channel)
    finally:
        await channel.close()
