"""Sends many messages at once over a connection of its own, and waits for their confirms together."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker
from pika.spec import Basic

from jobtrail.broker.channel import Channel
from jobtrail.broker.connection import Connection
from jobtrail.broker.frames import RawProperties
from jobtrail.models.errors import BrokerError, BusyError, NotFoundError, PoisonError

if TYPE_CHECKING:
    from pika.frame import Method

_OVER_A_MESSAGE = frozenset({311, 406, 501, 502, 505, 541})
"""The broker's codes for a message, or a frame, that it can't take; the last one is its own failure over it."""
_BLOCKED = "RabbitMQ accepts no messages for now: it is short of memory or disk"


@dataclass(slots=True, frozen=True, kw_only=True)
class Message:
    """A message that is ready to be sent."""

    exchange: str = ""
    routing_key: str
    body: bytes
    properties: bytes
    """Their flags and values on the wire; see `broker.properties`."""
    mandatory: bool = True
    """Whether a queue must take it."""


class BulkSender:
    """Sends messages with publisher confirms. One call at a time."""

    def __init__(self, amqp_url: str, name: str) -> None:
        self.connection = Connection(amqp_url, name)
        self._channel: Channel | None = None
        self._latest_tag = 0
        self._confirms = Confirms(1, 0, lambda _answer: None)

    async def open(self) -> None:
        """Connect."""
        await self.connection.open()
        self._channel = channel = await self.connection.channel()
        channel.raw.add_on_return_callback(lambda *_message: self._confirms.note_return())
        await channel.ask(lambda answer: channel.raw.confirm_delivery(self._on_confirm, callback=answer))

    @property
    def is_lost(self) -> bool:
        """Whether it can send no more: the broker closed the channel or the connection."""
        return self.connection.lost.is_set() or (self._channel is not None and self._channel.lost.is_set())

    async def send(self, messages: Sequence[Message], timeout_s: float) -> set[int]:
        """Send messages, wait until each is confirmed or refused, and return the places of those that were refused.

        It is a `PoisonError` where the broker closed the channel or the connection over one of them; a `BrokerError`
        where no queue took one, or one had no answer in time. Then it is not known which of them arrived, and this
        connection is of no use any more.
        """
        if not messages:
            return set()
        channel = self._opened()
        if self.connection.blocked:
            raise BrokerError(_BLOCKED)

        def publish(answer: Callable[[object], None]) -> None:
            self._confirms = Confirms(self._latest_tag + 1, len(messages), answer)
            for message in messages:
                self._latest_tag += 1
                channel.raw.basic_publish(
                    message.exchange,
                    message.routing_key,
                    message.body,
                    RawProperties(message.properties),
                    message.mandatory,
                )

        with self._told():
            await channel.ask(publish, timeout_s)
        if self._confirms.returned:
            raise BrokerError("RabbitMQ: the queue of a message does not exist any more")
        return self._confirms.refused

    async def purge(self, queue: str) -> None:
        """Throw away what waits in a queue; after an error this connection is of no use any more."""
        with self._told():
            await self._opened().purge(queue)

    async def remove(self, *, exchange: str, queue: str) -> None:
        """Remove an exchange and a queue, with what waits in it, if they are there."""
        channel = self._opened()
        with self._told():
            await channel.delete_exchange(exchange)
            await channel.delete_queue(queue)

    async def close(self) -> None:
        """Close the connection, in whatever state it is."""
        await self.connection.close()

    def _on_confirm(self, frame: "Method[Basic.Ack | Basic.Nack]") -> None:
        self._confirms.note(frame)

    def _opened(self) -> Channel:
        if self._channel is None:
            raise RuntimeError("not connected")
        return self._channel

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say what an error is about, as far as that is known; the channel is closed, whatever it was."""
        try:
            yield
        except (BrokerError, BusyError, NotFoundError) as error:
            if _is_over_a_message(error.__cause__):
                raise PoisonError(str(error)) from error
            raise BrokerError(_BLOCKED if self.connection.blocked else str(error)) from error


def _is_over_a_message(error: BaseException | None) -> bool:
    by_broker = (ConnectionClosedByBroker, ChannelClosedByBroker)
    return isinstance(error, by_broker) and error.reply_code in _OVER_A_MESSAGE


class Confirms:
    """The broker's answers to the messages of one call; those to earlier ones, which were given up, are ignored.

    `on_all` is called once all have been answered.
    """

    def __init__(self, first_tag: int, count: int, on_all: Callable[[object], None]) -> None:
        self._first_tag = first_tag
        self._lowest_tag = first_tag
        self._waiting = set(range(first_tag, first_tag + count))
        self._on_all = on_all
        self.refused: set[int] = set()
        """Places of messages."""
        self.returned = False

    def note(self, frame: "Method[Basic.Ack | Basic.Nack]") -> None:
        """Note a confirm or a refusal, of one message or of all up to it."""
        tag, multiple = frame.method.delivery_tag, frame.method.multiple
        answered = self._waiting.intersection(range(self._lowest_tag, tag + 1) if multiple else (tag,))
        if multiple:
            self._lowest_tag = max(self._lowest_tag, tag + 1)
        self._waiting -= answered
        if isinstance(frame.method, Basic.Nack):
            self.refused |= {each - self._first_tag for each in answered}
        if not self._waiting:
            self._on_all(None)

    def note_return(self) -> None:
        """Note that no queue took a message; it is confirmed too, right after."""
        self.returned = True
