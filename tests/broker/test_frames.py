"""Messages of every shape are read whole, on the real broker."""

import asyncio
from typing import Any

import pika
import pytest

from jobtrail.broker.channel import Delivery
from jobtrail.broker.connection import Connection
from jobtrail.broker.properties import ids
from tests.support import Names, eventually_async

FRAME_BYTES = 131_072
"""The largest frame of RabbitMQ's default; eight bytes of it are no body."""
SIZES = [0, 1, FRAME_BYTES - 9, FRAME_BYTES - 8, FRAME_BYTES - 7, 300_000]


@pytest.mark.parametrize("prefetch", [1, 1000])
async def test_bodies_of_any_size_arrive_whole_and_in_order_with_their_properties(
    amqp_url: str, names: Names, prefetch: int
) -> None:
    queue = names.queue()
    sizes = [*SIZES, *range(700), *SIZES]
    bodies = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as blocking:
        sender: Any = blocking.channel()
        sender.queue_declare(queue, durable=True)
        for number, body in enumerate(bodies):
            sender.basic_publish("", queue, body, pika.BasicProperties(message_id=str(number)))
    taken: list[Delivery] = []

    async with Connection(amqp_url, "reader of a test") as connection:
        channel = await connection.channel()

        def take(delivery: Delivery) -> None:
            taken.append(delivery)
            channel.acknowledge(delivery.tag)

        await channel.set_prefetch(prefetch)
        await channel.consume(queue, take)
        await eventually_async(lambda: asyncio.sleep(0, len(taken) == len(bodies)))

    assert [delivery.body for delivery in taken] == bodies
    assert [ids(delivery.raw)[0] for delivery in taken] == [str(number) for number in range(len(bodies))]
    assert {(delivery.exchange, delivery.routing_key, delivery.redelivered) for delivery in taken} == {
        ("", queue, False)
    }
    assert [delivery.tag for delivery in taken] == list(range(1, len(bodies) + 1))
