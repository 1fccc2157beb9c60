"""Many messages at once, on the real broker; and which of them it has confirmed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika.spec import Basic

from jobtrail.broker.declaring import lock
from jobtrail.broker.poison import poison_in
from jobtrail.broker.properties import encode
from jobtrail.broker.sender import BulkSender, Confirms, Message
from jobtrail.models.errors import BrokerError, BusyError, PoisonError
from jobtrail.stack.rabbitmq import RabbitMq
from tests.publisher.support import NOBODY_LISTENS
from tests.support import Names

PROPERTIES = encode(pika.BasicProperties(message_id="m", delivery_mode=2))
WAIT_S = 30.0


@asynccontextmanager
async def sending(amqp_url: str) -> AsyncIterator[BulkSender]:
    """An open sender."""
    sender = BulkSender(amqp_url, "bulk sender of a test")
    try:
        await sender.open()
        yield sender
    finally:
        await sender.close()


@pytest.fixture
def channel(amqp_url: str) -> Iterator[Any]:
    """A channel of the test's own."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        yield connection.channel()


def message(queue: str, body: bytes, *, mandatory: bool = True) -> Message:
    return Message(routing_key=queue, body=body, properties=PROPERTIES, mandatory=mandatory)


async def test_batches_arrive_in_order_with_their_properties(amqp_url: str, channel: Any, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True)
    bodies = [f"{number}".encode() for number in range(2500)]
    async with sending(amqp_url) as sender:
        assert await sender.send([], WAIT_S) == set()
        for at in range(0, len(bodies), 1000):
            assert await sender.send([message(queue, body) for body in bodies[at : at + 1000]], WAIT_S) == set()
    taken = [channel.basic_get(queue, auto_ack=True) for _ in bodies]
    assert [body for _method, _properties, body in taken] == bodies
    assert {properties.message_id for _method, properties, _body in taken} == {"m"}


async def test_it_tells_which_messages_a_full_queue_refused(amqp_url: str, channel: Any, names: Names) -> None:
    full, roomy = names.queue("full"), names.queue("roomy")
    channel.queue_declare(full, durable=True, arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
    channel.queue_declare(roomy, durable=True)
    async with sending(amqp_url) as sender:
        assert await sender.send([message(full, b"x"), message(full, b"x"), message(roomy, b"x")], WAIT_S) == set()
        mixed = [message(roomy, b"x"), message(full, b"x"), message(roomy, b"x"), message(full, b"x")]
        assert await sender.send(mixed, WAIT_S) == {1, 3}
        assert await sender.send([message(roomy, b"x")], WAIT_S) == set()


async def test_a_message_that_no_queue_takes_is_an_error_if_it_is_mandatory(
    amqp_url: str, channel: Any, names: Names
) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True)
    async with sending(amqp_url) as sender:
        optional = message("nowhere", b"x", mandatory=False)
        assert await sender.send([optional, message(queue, b"x")], WAIT_S) == set()
        with pytest.raises(BrokerError, match="does not exist any more"):
            await sender.send([message(queue, b"x"), message("nowhere", b"x")], WAIT_S)
        assert await sender.send([message(queue, b"x")], WAIT_S) == set()


async def test_one_sender_at_a_time_has_the_lock_until_it_is_closed(amqp_url: str, names: Names) -> None:
    right = names.queue("lock")
    async with sending(amqp_url) as first:
        await lock(first.connection, right, "taken")
        async with sending(amqp_url) as second:
            with pytest.raises(BusyError, match="taken"):
                await lock(second.connection, right, "taken")
    async with sending(amqp_url) as third:
        await lock(third.connection, right, "taken")


async def test_a_queue_is_purged_and_removed_with_its_exchange(amqp_url: str, channel: Any, names: Names) -> None:
    queue, exchange = names.queue(), names.exchange()
    channel.exchange_declare(exchange)
    channel.queue_declare(queue, durable=True)
    async with sending(amqp_url) as sender:
        await sender.send([message(queue, b"x")], WAIT_S)
        await sender.purge(queue)
        assert channel.queue_declare(queue, passive=True).method.message_count == 0
        await sender.remove(exchange=exchange, queue=queue)
        await sender.remove(exchange=exchange, queue=queue)
        with pytest.raises(BrokerError, match="no queue"):
            await sender.purge(queue)
        with pytest.raises(BrokerError):  # the broker has closed the channel
            await sender.send([message(queue, b"x")], WAIT_S)


async def test_a_broker_that_is_away_or_refuses_is_an_error_without_secrets(amqp_url: str) -> None:
    wrong = pika.URLParameters(amqp_url)
    refused = f"amqp://jobtrail:wrong-secret@{wrong.host}:{wrong.port}/{wrong.virtual_host}"
    for url in (NOBODY_LISTENS, refused):
        with pytest.raises(BrokerError, match=r"RabbitMQ at 127\.0\.0\.1:") as raised:
            async with sending(url):
                pass
        assert "secret" not in str(raised.value)


async def test_confirms_of_several_kinds_of_queues_are_put_together_in_any_order(
    amqp_url: str, channel: Any, names: Names
) -> None:
    plain, quorum, stream = names.queue("plain"), names.queue("quorum"), names.queue("stream")
    channel.queue_declare(plain, durable=True)
    channel.queue_declare(quorum, durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_declare(stream, durable=True, arguments={"x-queue-type": "stream"})
    full = names.queue("full")
    channel.queue_declare(full, durable=True, arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    places = [plain, stream, quorum, full, quorum, stream]
    async with sending(amqp_url) as sender:
        for _ in range(3):
            sent = [message(places[n % len(places)], b"%d" % n) for n in range(600)]
            assert await sender.send(sent, WAIT_S) == set(range(3, 600, len(places)))


@given(st.integers(1, 30), st.data())
def test_each_message_is_answered_once_however_its_confirms_are_put_together(count: int, data: st.DataObject) -> None:
    first_tag = data.draw(st.integers(1, 50))
    done: list[object] = []
    confirms = Confirms(first_tag, count, done.append)
    open_tags, refused = set(range(first_tag, first_tag + count)), set()
    for late in data.draw(st.lists(st.integers(1, first_tag), max_size=3)):
        confirms.note(frame(Basic.Nack(late - 1, multiple=data.draw(st.booleans()))))  # of a call before
    while open_tags:
        assert not done
        tag, multiple, is_refused = (
            data.draw(st.sampled_from(sorted(open_tags))),
            *data.draw(st.tuples(*[st.booleans()] * 2)),
        )
        answered = {each for each in open_tags if each <= tag} if multiple else {tag}
        confirms.note(frame(Basic.Nack(tag, multiple) if is_refused else Basic.Ack(tag, multiple)))
        open_tags -= answered
        refused |= answered if is_refused else set()
    assert done == [None]
    assert confirms.refused == {tag - first_tag for tag in refused}


def frame(method: Basic.Ack | Basic.Nack) -> Any:
    return SimpleNamespace(method=method)


async def test_a_broker_whose_memory_is_short_is_an_error_and_not_a_wait_without_end(own_rabbitmq: RabbitMq) -> None:
    async with sending(own_rabbitmq.url) as sender:
        await (await sender.connection.channel()).declare_queue("work")
        assert await sender.send([message("work", b"x")], WAIT_S) == set()
        await asyncio.to_thread(own_rabbitmq.control, "set_vm_memory_high_watermark", "0.00001")
        with pytest.raises(BrokerError, match="short of memory or disk"):
            await sender.send([message("work", b"x")], 5)
        with pytest.raises(BrokerError, match="short of memory or disk"):
            await sender.send([message("work", b"x")], WAIT_S)
    await asyncio.to_thread(own_rabbitmq.control, "set_vm_memory_high_watermark", "0.5")
    async with sending(own_rabbitmq.url) as sender:
        assert await sender.send([message("work", b"x")], WAIT_S) == set()


async def test_a_message_that_the_broker_closes_the_connection_over_is_told_from_an_outage(
    amqp_url: str, channel: Any, names: Names
) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True)
    poison = b"\x20\0\0\0\0\5\1nZab"
    assert poison_in(poison, to_stream=False)
    async with sending(amqp_url) as sender:
        with pytest.raises(PoisonError):
            await sender.send([message(queue, b"x"), Message(routing_key=queue, body=b"", properties=poison)], WAIT_S)
        with pytest.raises(BrokerError):
            await sender.send([message(queue, b"x")], WAIT_S)
