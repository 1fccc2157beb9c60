"""Checks the broker: can it be reached, and are the queues what they should be? Nothing is made or changed."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import aiormq
from aiormq.abc import AbstractConnection

from cli.checkup import Check, failed, ok, warning
from cli.checkup_letters import judge_captured, waiting_words
from cli.exit_codes import ExitCode
from cli.places import place_of
from heartbeat.subscription import MAX_WAITING
from models.errors import BrokerError
from models.settings import Settings
from models.topology import (
    HEARTBEAT_EXCHANGE,
    dead_letter_queue_arguments,
    heartbeat_queue_arguments,
    reply_queue_arguments,
)
from publisher.amqp import broker_errors

_TIMEOUT_S = 10.0
_LEAST_VERSION = (3, 10)
_LONG_QUEUE = 10_000

Judge = Callable[[str, int, int], Check]
"""Takes the check's name, how many messages wait and how many consumers there are."""


@dataclass(slots=True, frozen=True, kw_only=True)
class _Queue:
    """What a queue should be."""

    title: str
    name: str
    arguments: Mapping[str, str | int | bool]
    maker: str
    """The command that makes it."""
    judge: Judge


async def check_broker(settings: Settings) -> list[Check]:
    """Check the broker and everything on it that the settings name.

    Args:
        settings: The settings; the broker's URL must be known.

    Returns:
        The checks.
    """
    url = settings.require_amqp_url()
    place = place_of(url)
    try:
        with broker_errors():
            connection = await asyncio.wait_for(aiormq.connect(url), _TIMEOUT_S)
    except BrokerError as error:
        return [_unreachable(place, error)]
    try:
        checks = [_version(place, connection)]
        for check in (_exchange, _reply_queue, _dead_letter_queue, _heartbeat_queue):
            with broker_errors():
                checks.append(await asyncio.wait_for(check(connection, settings), _TIMEOUT_S))
    except BrokerError as error:
        return [*checks, _unreachable(place, error)]
    finally:
        with suppress(aiormq.AMQPError, OSError, TimeoutError, RuntimeError):
            await connection.close(timeout=_TIMEOUT_S)
    return checks


def _unreachable(place: str, error: BrokerError) -> Check:
    refused = isinstance(error.__cause__, aiormq.AuthenticationError | aiormq.exceptions.ProbableAuthenticationError)
    if refused:
        advice = "RabbitMQ refused the user or the password: correct them in JOBTRAIL_AMQP_URL"
    else:
        advice = "start RabbitMQ or correct JOBTRAIL_AMQP_URL; a private one is started by: jobtrail up"
    return failed("broker", f"{place}: {error}", advice, ExitCode.UNREACHABLE)


def _version(place: str, connection: AbstractConnection) -> Check:
    properties = connection.server_properties
    product, version = str(properties.get("product", "broker")), str(properties.get("version", "?"))
    found = f"{product} {version} at {place}"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < _LEAST_VERSION:
        return warning("broker", found, "JobTrail is tested with RabbitMQ 3.10 and later")
    return ok("broker", found)


async def _exchange(connection: AbstractConnection, _settings: Settings) -> Check:
    name = "heartbeat exchange"

    async def declare(passive: bool) -> None:
        channel = await connection.channel()
        await channel.exchange_declare(HEARTBEAT_EXCHANGE, exchange_type="fanout", durable=True, passive=passive)
        await channel.close()

    try:
        await declare(passive=True)
        await declare(passive=False)  # it exists, so this only compares
    except aiormq.ChannelNotFoundEntity:
        return warning(
            name, f"{HEARTBEAT_EXCHANGE} is not there yet", "the monitor makes it when it first runs: jobtrail monitor"
        )
    except aiormq.ChannelPreconditionFailed:
        return failed(
            name,
            f"{HEARTBEAT_EXCHANGE} is not a durable fanout exchange",
            "delete it; pyClowder and the monitor make it anew",
        )
    return ok(name, f"{HEARTBEAT_EXCHANGE}, durable, fanout")


async def _reply_queue(connection: AbstractConnection, settings: Settings) -> Check:
    def judge(name: str, waiting: int, consumers: int) -> Check:
        found = f"{settings.reply_queue}: {waiting_words(waiting)}, {_consumers(consumers)}"
        if consumers == 0:
            return warning(name, found, "nobody stores updates: start jobtrail consume")
        if waiting > _LONG_QUEUE:
            return warning(name, found, "the consumer is behind; look at its /metrics and its log")
        return ok(name, f"{found}; quorum, one consumer active at a time")

    queue = _Queue(
        title="reply queue",
        name=settings.reply_queue,
        arguments=reply_queue_arguments(settings.dead_letter_queue),
        maker="jobtrail consume",
        judge=judge,
    )
    return await _compare(connection, queue)


async def _dead_letter_queue(connection: AbstractConnection, settings: Settings) -> Check:
    def judge(name: str, waiting: int, consumers: int) -> Check:
        return judge_captured(name, settings.dead_letter_queue, waiting, consumers)

    queue = _Queue(
        title="dead-letter queue",
        name=settings.dead_letter_queue,
        arguments=dead_letter_queue_arguments(),
        maker="jobtrail consume",
        judge=judge,
    )
    return await _compare(connection, queue)


async def _heartbeat_queue(connection: AbstractConnection, settings: Settings) -> Check:
    def judge(name: str, waiting: int, consumers: int) -> Check:
        found = f"{settings.heartbeat_queue}: {waiting_words(waiting)}, {_consumers(consumers)}"
        if consumers == 0:
            return warning(name, found, "nobody stores heartbeats, so nothing shows as online: start jobtrail monitor")
        return ok(name, found)

    queue = _Queue(
        title="heartbeat queue",
        name=settings.heartbeat_queue,
        arguments=heartbeat_queue_arguments(int(2000 * settings.instance_timeout_s), MAX_WAITING),
        maker="jobtrail monitor",
        judge=judge,
    )
    return await _compare(connection, queue)


async def _compare(connection: AbstractConnection, queue: _Queue) -> Check:
    """Compare a queue with what it should be."""
    try:
        channel = await connection.channel()
        declared = await channel.queue_declare(queue.name, passive=True)
        # AMQP tells a queue's arguments to nobody; but declaring one that exists only compares them.
        await channel.queue_declare(queue.name, durable=True, arguments={**queue.arguments})
        await channel.close()
    except aiormq.ChannelNotFoundEntity:
        return warning(queue.title, f"{queue.name} is not there yet", f"it is made when this first runs: {queue.maker}")
    except aiormq.ChannelPreconditionFailed as error:
        return failed(
            queue.title,
            f"{queue.name} has other arguments than it should: {error}",
            f"stop what uses it, take out what waits in it, delete it, and start {queue.maker}, which makes it anew",
        )
    return queue.judge(queue.title, declared.message_count or 0, declared.consumer_count or 0)


def _consumers(count: int) -> str:
    return "no consumer" if count == 0 else "1 consumer" if count == 1 else f"{count} consumers"
