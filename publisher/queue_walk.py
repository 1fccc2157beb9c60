"""Looks at the messages of a queue without taking them, and puts them back in their order.

AMQP has no way to look at a queue but to fetch its messages and give them back. A classic queue returns them to their
old places. A quorum queue returns them to its head when the channel that holds them is closed (an explicit
`basic.nack` would put them at its end), behind what came back before; but it sorts the messages that one channel has
fetched by the text of their number, and from 33 on not at all. So each channel fetches nine, and the channels are
closed one after the other. (Tried on RabbitMQ 3.10 with 2,000 messages, classic and quorum.)
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pika.exceptions import ChannelClosedByBroker

from jobtrail.broker.errors import NOT_FOUND
from jobtrail.models.errors import JobTrailError, NotFoundError

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
    from pika.spec import BasicProperties

MAX_WALKED = 10_000
"""RabbitMQ allows 2,047 channels on a connection."""
MAX_DELIVERY_COUNT = 10
"""RabbitMQ 4 gives up on a quorum queue's message after 20 deliveries; a walk never brings one near that."""
PUT_BACK_TIMEOUT_S = 0.1
"""Longest wait for a channel's messages to be seen in the queue; workers may take them before they can be counted."""
_PER_CHANNEL = 9
_POLL_S = 0.002


@dataclass(slots=True, frozen=True)
class Held:
    """A message that is held while the walk lasts."""

    position: int
    """Its place in the queue, from 1."""
    body: bytes
    properties: "BasicProperties"
    redelivered: bool
    delivery_tag: int
    channel: "BlockingChannel"

    def remove(self) -> None:
        """Acknowledge it: it will not be put back."""
        self.channel.basic_ack(self.delivery_tag)


class QueueWalk:
    """One walk; `put_back` must follow it.

    Args:
        connection: The connection; the walk opens channels of its own on it.
        queue: The queue.
        timeout_s: How long the walk may take, in seconds.

    Raises:
        NotFoundError: The queue does not exist.
        JobTrailError: Too many messages wait in it; it was left alone.
    """

    def __init__(self, connection: "BlockingConnection", queue: str, timeout_s: float) -> None:
        self._connection = connection
        self._queue = queue
        self._deadline = time.monotonic() + timeout_s
        self._counter = connection.channel()
        self._channels: list[BlockingChannel] = []
        try:
            self.waiting = self._ready()
        except ChannelClosedByBroker as error:
            if error.reply_code != NOT_FOUND:
                raise
            raise NotFoundError(f"there is no queue {queue!r} on the broker") from error
        if self.waiting > MAX_WALKED:
            raise JobTrailError(f"{self.waiting} messages wait in {queue!r}; more than {MAX_WALKED} are not walked")

    def messages(self) -> Iterator[Held]:
        """Fetch what waited when the walk began, oldest first, as far as workers leave it.

        Yields:
            Each message; it is held until `put_back`.

        Raises:
            JobTrailError: The time is up, or the broker is near giving up on a message for its many deliveries.
        """
        for position in range(1, self.waiting + 1):
            if time.monotonic() > self._deadline:
                raise JobTrailError(
                    f"the walk of {self._queue!r} took too long: {position - 1} of {self.waiting} messages"
                )
            if position % _PER_CHANNEL == 1:
                self._channels.append(self._connection.channel())
            channel = self._channels[-1]
            method, properties, body = channel.basic_get(self._queue)
            if method is None or properties is None or body is None:
                return
            self._spare(properties)
            yield Held(position, body, properties, bool(method.redelivered), int(method.delivery_tag or 0), channel)

    def put_back(self) -> None:
        """Give everything back that was not removed, in its order."""
        if not self._connection.is_open or not self._counter.is_open:
            return
        for channel in self._channels:
            before = self._ready()
            channel.close()
            # A quorum queue takes them back in its own time: the next channel's must not come before.
            deadline = time.monotonic() + PUT_BACK_TIMEOUT_S
            while self._ready() <= before and time.monotonic() < deadline:
                self._connection.sleep(_POLL_S)

    def _ready(self) -> int:
        return int(self._counter.queue_declare(self._queue, passive=True).method.message_count)

    def _spare(self, properties: "BasicProperties") -> None:
        count = (properties.headers or {}).get("x-delivery-count", 0)
        if isinstance(count, int) and count >= MAX_DELIVERY_COUNT:
            raise JobTrailError(
                f"messages in the quorum queue {self._queue!r} have been delivered {count} times; walking them again "
                "could make the broker give up on them"
            )
