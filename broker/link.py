"""A worker's connection to RabbitMQ with one channel, run by a thread: a worker has no event loop to lend.

A broker that is gone without a word is noticed: see `broker.watch`.
"""

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pika
from pika.adapters.select_connection import SelectConnection
from pika.exceptions import StreamLostError

from jobtrail.broker.watch import Watch

if TYPE_CHECKING:
    from pika.adapters.select_connection import IOLoop
    from pika.channel import Channel

_CLOSE_TIMEOUT_S = 2.0


class Link:
    """Connects, serves the connection until its end, and can do so again; nodes are tried in turn.

    All but `call` and `stop` belongs to the thread that is in `run`, and so do the callbacks: `on_channel` gets each
    new channel, `on_lost` the reason why a connection or its channel could not be opened, or was lost.
    """

    def __init__(
        self,
        nodes: Sequence[pika.URLParameters],
        on_channel: Callable[["Channel"], None],
        on_lost: Callable[[BaseException], None],
    ) -> None:
        self.node_count = len(nodes)
        self._nodes = itertools.cycle(nodes)
        self._on_channel = on_channel
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._loop: IOLoop | None = None
        self._stopped = False
        self._connection: SelectConnection | None = None
        self._channel: Channel | None = None
        self._closing = False
        self.blocked = False
        """Whether the broker takes no messages for now: its memory or its disk is short."""
        self._watch: Watch | None = None

    @property
    def channel(self) -> "Channel | None":
        """The channel, while it is open."""
        return self._channel if self._channel is not None and self._channel.is_open else None

    def run(self) -> None:
        """Connect to the next node, and serve the connection until its end; what a callback raises comes out here."""
        self._channel = None
        self._closing = self.blocked = False
        connection = SelectConnection(
            next(self._nodes),
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_end,
            on_close_callback=self._on_end,
        )
        loop = connection.ioloop
        self._connection = connection
        with self._lock:
            self._loop = loop
        try:
            if not self._stopped:  # else it was too early for `stop` to reach the loop
                loop.start()
        finally:
            with self._lock:
                self._loop = None
            if not connection.is_closed:  # a callback raised; pika closes sockets only while the loop runs
                self.close()
                loop.start()
            self._connection = None
            loop.close()

    def call(self, callback: Callable[[], None]) -> None:
        """Have something done in the thread of `run`, if that is at work. From any thread."""
        with self._lock:
            if self._loop is not None:
                self._loop.add_callback_threadsafe(callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Have something done after some seconds, if this connection is still at work then."""
        if self._connection is not None:
            self._connection.ioloop.call_later(delay_s, callback)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Have something done when what came in meanwhile has been seen."""
        if self._connection is not None:
            self._connection.ioloop.add_callback(callback)

    def stop(self) -> None:
        """Close the connection, for good. From any thread."""
        self._stopped = True
        self.call(self.close)

    def drop(self, reason: str) -> None:
        """End the connection without a word to a broker that does not do its part."""
        if self._connection is not None:
            _abort(self._connection, reason)

    def close(self) -> None:
        """Close the connection, also one that is still opening; `run` then returns, even if the broker is silent."""
        connection, self._closing = self._connection, True
        if connection is not None and not connection.is_closing and not connection.is_closed:
            connection.close()
            connection.ioloop.call_later(_CLOSE_TIMEOUT_S, lambda: _abort(connection, "RabbitMQ did not say goodbye"))

    def _on_open(self, connection: SelectConnection) -> None:
        connection.add_on_connection_blocked_callback(lambda *_: self._on_blocked(True))
        connection.add_on_connection_unblocked_callback(lambda *_: self._on_blocked(False))
        connection.channel(on_open_callback=self._on_channel_open)
        self._watch = Watch(
            self._ask,
            call_later=connection.ioloop.call_later,
            received_bytes=lambda: connection.bytes_received,  # type: ignore[attr-defined]  # the stubs know less
            is_blocked=lambda: self.blocked,
            on_silent=lambda silent_s: self.drop(f"RabbitMQ has not answered for {silent_s:g} s"),
        )

    def _on_channel_open(self, channel: "Channel") -> None:
        channel.add_on_close_callback(self._on_channel_close)
        self._channel = channel
        if self._watch is not None:
            self._watch.note_answer()
        self._on_channel(channel)

    def _on_channel_close(self, _channel: "Channel", reason: BaseException) -> None:
        self._lost(reason)
        self.close()

    def _on_end(self, connection: SelectConnection, reason: BaseException) -> None:
        if self._watch is not None:
            self._watch.stop()
        self._lost(reason)
        connection.ioloop.stop()

    def _lost(self, reason: BaseException) -> None:
        """Report a loss, once: neither what follows from it nor what we close ourselves."""
        self._channel = None
        if not self._closing:
            self._closing = True
            self._on_lost(reason)

    def _on_blocked(self, blocked: bool) -> None:
        self.blocked = blocked

    def _ask(self, answer: Callable[[object], None]) -> None:
        """Ask what changes nothing, as nothing is consumed here. Later than an answer there is nothing on its way.

        After a worker kept the interpreter busy, the answer is found at the next look: between two looks the socket is
        always read.
        """
        if self.channel is not None:
            self.channel.basic_qos(prefetch_count=0, callback=answer)


def _abort(connection: SelectConnection, reason: str) -> None:
    """Drop a connection whose broker is silent: pika offers only to wait for its answer."""
    if not connection.is_closed:
        connection._terminate_stream(StreamLostError(reason))  # type: ignore[attr-defined]
