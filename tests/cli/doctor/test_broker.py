"""What `jobtrail doctor` says of a broker."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError
from pydantic import SecretStr

from jobtrail.cli.doctor.broker import check_broker
from jobtrail.cli.doctor.checks import Check, CheckOutcome
from jobtrail.cli.doctor.stream_probe import why_unreadable
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.models.settings import Settings
from jobtrail.models.topology import stream_arguments
from jobtrail.stack.ports import free_port
from jobtrail.stack.rabbitmq import RabbitMq
from tests.support import Names, eventually_holds_async

ALARM_LIMIT = "0.00001"
"""Of the machine's memory: below what any broker takes."""
KILLS = 5
BACK_WITHIN_S = 5.0


@pytest.fixture
def channel(amqp_url: str) -> Iterator[BlockingChannel]:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        yield connection.channel()


def declare_stream(channel: BlockingChannel, settings: Settings, stream: str, **changes: object) -> None:
    arguments = stream_arguments(
        retention_days=settings.stream_retention_days,
        retention_gb=settings.stream_retention_gb,
        segment_mb=settings.stream_segment_mb,
    )
    changed = {f"x-{name.replace('_', '-')}": value for name, value in changes.items()}
    channel.queue_declare(stream, durable=True, arguments={**arguments, **changed})


def on(broker: RabbitMq, settings: Settings) -> Settings:
    return settings.model_copy(update={"amqp_url": SecretStr(broker.url)})


async def is_lost(settings: Settings) -> bool:
    """Whether a stream stays unreadable: one that a crash does no harm to is back at once."""
    deadline = time.monotonic() + BACK_WITHIN_S
    while time.monotonic() < deadline:
        if await why_unreadable(settings.require_amqp_url(), settings.reply_stream) is None:
            return False
        await asyncio.sleep(0.1)
    return True


async def checks_named(name: str, settings: Settings) -> list[Check]:
    return [check for check in await check_broker(settings) if check.name == name]


async def only_check(name: str, settings: Settings) -> Check:
    [check] = await checks_named(name, settings)
    return check


async def test_every_stream_of_updates_is_tried_out(channel: BlockingChannel, settings: Settings, names: Names) -> None:
    stream = names.queue("split")
    split = settings.model_copy(update={"reply_stream": stream, "reply_partitions": 2})
    names.queue("split.0")
    declare_stream(channel, split, split.reply_streams[0])

    first, second = await checks_named("stream", split)

    assert (first.outcome, first.found) == (
        CheckOutcome.OK,
        f"{stream}.0 can be read; 7 days or 20 GB are kept",
    )
    assert (second.outcome, second.found) == (CheckOutcome.WARNING, f"{stream}.1 does not exist yet")
    assert "jobtrail consume" in second.advice


async def test_a_stream_with_other_arguments_is_used_and_named(channel: BlockingChannel, settings: Settings) -> None:
    declare_stream(channel, settings, settings.reply_stream, max_age="1h", max_length_bytes=5_000_000)

    check = await only_check("stream", settings)

    assert check.outcome is CheckOutcome.WARNING
    assert "can be read" in check.found
    assert "x-max-age is 1h instead of 604800s" in check.found
    assert "x-max-length-bytes is 5000000 instead of 20000000000" in check.found
    assert "segment" not in check.found


@pytest.mark.parametrize(
    ("durable", "arguments", "kind"),
    [
        (True, {"x-queue-type": "quorum"}, "quorum"),
        (True, {}, "classic"),
        (True, {"x-max-length-bytes": 20 * 10**9}, "classic"),
    ],
)
async def test_a_queue_of_another_type_is_no_stream(
    channel: BlockingChannel, settings: Settings, durable: bool, arguments: dict[str, object], kind: str
) -> None:
    channel.queue_declare(settings.reply_stream, durable=durable, arguments=arguments)

    check = await only_check("stream", settings)

    assert (check.outcome, check.found) == (
        CheckOutcome.FAILED,
        f"{settings.reply_stream} is a {kind} queue, not a stream",
    )
    assert "JOBTRAIL_REPLY_STREAM" in check.advice
    assert "JOBTRAIL_BRIDGED_QUEUES" in check.advice


async def test_queues_that_are_bridged_are_looked_into(
    channel: BlockingChannel, settings: Settings, names: Names
) -> None:
    read, unread, missing = names.queue("read"), names.queue("unread"), names.queue("missing")
    bridging = settings.model_copy(update={"bridged_queues": f"{read}, {unread},{missing}"})
    for queue in (read, unread):
        channel.queue_declare(queue, durable=True)
    channel.basic_consume(read, lambda *_: None)
    channel.confirm_delivery()
    channel.basic_publish("", unread, b"update")

    checks = {check.found: check for check in await checks_named("bridged queue", bridging)}

    assert {found: check.outcome for found, check in checks.items()} == {
        f"{read}: no messages wait, 1 consumer": CheckOutcome.OK,
        f"{unread}: 1 message waits, no consumer": CheckOutcome.WARNING,
        f"{missing} does not exist": CheckOutcome.WARNING,
    }


async def test_a_broker_in_alarm_is_told_and_nothing_else_is_held_up(
    own_rabbitmq: RabbitMq, settings: Settings
) -> None:
    own = on(own_rabbitmq, settings)
    assert await checks_named("publishing", own) == []
    own_rabbitmq.control("set_vm_memory_high_watermark", ALARM_LIMIT)

    async def is_told() -> None:
        told = {check.name: check for check in await check_broker(own)}
        assert {"broker", "publishing", "stream", "heartbeat queue"} <= told.keys()
        assert told["publishing"].outcome is CheckOutcome.WARNING
        assert told["broker"].outcome is CheckOutcome.OK

    await eventually_holds_async(is_told)


async def test_the_nodes_of_a_cluster_are_tried_in_turn(
    channel: BlockingChannel, settings: Settings, amqp_url: str
) -> None:
    declare_stream(channel, settings, settings.reply_stream)
    away = f"amqp://guest:hunter2@127.0.0.1:{free_port()}/"
    cluster = settings.model_copy(update={"amqp_url": SecretStr(f"{away},{amqp_url}")})

    checks = await check_broker(cluster)

    assert [check.name for check in checks if check.outcome is CheckOutcome.FAILED] == []
    assert "hunter2" not in str(checks)


async def test_a_broker_without_streams_is_told_with_the_way_out(
    request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = RabbitMq._environment
    monkeypatch.setattr(
        RabbitMq, "_environment", lambda self: {**plain(self), "RABBITMQ_FEATURE_FLAGS": "quorum_queue"}
    )
    broker: RabbitMq = request.getfixturevalue("own_stack").rabbitmq
    if not broker.control("version").startswith("3."):
        pytest.skip("RabbitMQ 4 always has streams")

    checks = {check.name: check for check in await check_broker(on(broker, settings))}

    assert checks["stream"].outcome is CheckOutcome.FAILED
    assert "has no streams" in checks["stream"].found
    assert "enable_feature_flag" in checks["stream"].advice
    assert checks["heartbeat queue"].outcome is CheckOutcome.WARNING, "the others are checked all the same"


async def test_a_stream_that_a_crash_made_unusable_is_told_with_the_way_out(
    own_rabbitmq: RabbitMq, settings: Settings, names: Names
) -> None:
    if not own_rabbitmq.control("version").startswith("3."):
        pytest.skip("RabbitMQ 4 gets its streams back")
    for kill in range(KILLS):
        own = on(own_rabbitmq, settings).model_copy(update={"reply_stream": f"updates-{kill}"})
        with suppress(AMQPError), pika.BlockingConnection(pika.URLParameters(own_rabbitmq.url)) as connection:
            declare_stream(connection.channel(), own, own.reply_stream)
            own_rabbitmq.kill()
        own_rabbitmq.start()
        if await is_lost(own):
            break
    check = await only_check("stream", own)

    assert (check.outcome, check.code) == (CheckOutcome.FAILED, ExitCode.UNREACHABLE)
    assert f"{own.reply_stream} can't be read" in check.found
    assert "wait and check again" in check.advice
    assert "JOBTRAIL_REPLY_STREAM" in check.advice
