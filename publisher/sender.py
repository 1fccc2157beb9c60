"""The one background thread that owns the pika connection and sends what is in the spool."""

import contextlib
import encodings.idna  # noqa: F401  # pika's look-up of names would import it in our thread: no fork survives that
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pika
from pika.adapters.select_connection import SelectConnection
from pika.exceptions import AMQPError

from models.redaction import redact
from publisher.backoff import Backoff
from publisher.connection import publish_properties
from publisher.dispatch import Dispatch, Outcome
from publisher.ledger import Ledger
from publisher.outgoing import Spooled

if TYPE_CHECKING:
    from pika.adapters.select_connection import IOLoop
    from pika.channel import Channel
    from pika.frame import Method
    from pika.spec import Basic, BasicProperties

logger = logging.getLogger(__name__)

ADOPT_INTERVAL_S = 30.0
"""How often an open connection looks for spools that dead processes left behind."""
ABORT_TIMEOUT_S = 2.0


class Sender:
    """Sends in order with publisher confirms, a window at a time; comes back to a lost broker with growing pauses.

    pika's blocking connection waits for each confirm alone; its asynchronous one, used here, has many in flight.

    Args:
        parameters: The broker's.
        ledger: Whose spool is sent.
    """

    def __init__(self, parameters: pika.URLParameters, ledger: Ledger) -> None:
        self._parameters = parameters
        self._ledger = ledger
        self._dispatch = Dispatch(ledger)
        self._backoff = Backoff()
        self._stopping = threading.Event()
        self._progressed = threading.Condition()
        self._loop_lock = threading.Lock()
        self._loop: IOLoop | None = None
        self._connection: SelectConnection | None = None
        self._channel: Channel | None = None
        self._unanswered: dict[int, Spooled] = {}
        self._returned: set[str] = set()
        self._outcomes: list[Outcome] = []
        self._latest_tag = 0
        self._awake = False
        self._pump_due = False
        self._retry_due = False
        self._complained = False
        self._thread = threading.Thread(target=self._run, name="jobtrail-publisher", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Tell that the spool has something new. Cheap, from any thread."""
        # The sender clears the flag before it reads the spool, we look at it after writing: nothing is overlooked.
        if not self._awake:
            self._awake = True
            self._call(self._pump)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is sent that can be.

        Args:
            timeout_s: How long to wait, in seconds.

        Returns:
            Whether everything was sent; updates for reply queues that take none are not waited for.
        """
        with self._progressed:
            return self._progressed.wait_for(self._dispatch.all_sent, timeout_s)

    def stop(self, timeout_s: float) -> None:
        """Close the connection and end the thread.

        Args:
            timeout_s: How long to wait for it, in seconds; it is a daemon thread, so it never keeps the process alive.
        """
        self._stopping.set()
        self._call(self._close)
        self._thread.join(timeout_s)

    def _call(self, callback: Callable[[], None]) -> None:
        with self._loop_lock:
            if self._loop is not None:
                self._loop.add_callback_threadsafe(callback)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._session()
            except Exception:  # whatever it was, the thread must live on: the next session starts from the spool
                logger.exception("Sending was interrupted", extra={"action": "publisher.sender_failed"})
            self._stopping.wait(self._backoff.next_s())

    def _session(self) -> None:
        """One connection, from its opening to its end."""
        self._unanswered.clear()
        self._returned.clear()
        self._outcomes.clear()
        self._channel = None
        self._pump_due = self._retry_due = False
        connection = SelectConnection(
            self._parameters,
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_end,
            on_close_callback=self._on_end,
        )
        loop = connection.ioloop
        self._connection = connection
        with self._loop_lock:
            self._loop = loop
        if self._stopping.is_set():  # it was too early for `stop` to reach the loop
            self._call(self._close)
        try:
            loop.start()
        finally:
            with self._loop_lock:
                self._loop = None
            self._channel = None
            _abort(connection)
            loop.close()

    def _on_open(self, connection: SelectConnection) -> None:
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: "Channel") -> None:
        channel.add_on_close_callback(self._on_channel_close)
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, callback=lambda _: self._on_ready(channel))

    def _on_ready(self, channel: "Channel") -> None:
        self._channel = channel
        self._latest_tag = 0
        self._dispatch.connected()
        if self._complained:
            self._complained = False
            logger.info("RabbitMQ is back", extra={"action": "publisher.connected"})
        self._adopt()
        self._pump()

    def _on_channel_close(self, _channel: "Channel", reason: Exception) -> None:
        self._channel = None
        if not self._stopping.is_set():
            self._complain(reason)
            self._close()

    def _on_end(self, connection: SelectConnection, reason: BaseException) -> None:
        self._channel = None
        if not self._stopping.is_set():
            self._complain(reason)
        connection.ioloop.stop()

    def _complain(self, reason: BaseException) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                "RabbitMQ cannot be reached, updates wait in the spool: %s",
                redact(str(reason)) or type(reason).__name__,
                extra={"action": "publisher.disconnected"},
            )

    def _close(self) -> None:
        connection = self._connection
        if connection is None:
            return
        if not connection.is_closing and not connection.is_closed:
            connection.close()  # `_on_end` follows, also for a connection that is still opening

    def _on_return(
        self, _channel: "Channel", _method: "Basic.Return", properties: "BasicProperties", _body: bytes
    ) -> None:
        # The broker confirms a returned message too, right after it.
        if properties.message_id is not None:
            self._returned.add(properties.message_id)

    def _on_confirm(self, frame: "Method[Basic.Ack | Basic.Nack]") -> None:
        method = frame.method
        acknowledged = method.NAME == "Basic.Ack"
        tag = int(method.delivery_tag)
        # Tags grow, and dictionaries keep their order: the answered ones stand in front.
        tags = [tag]
        if method.multiple:
            tags = []
            for waiting in self._unanswered:
                if waiting > tag:
                    break
                tags.append(waiting)
        for answered in tags:
            spooled = self._unanswered.pop(answered)
            returned = spooled.update.message_id in self._returned
            self._returned.discard(spooled.update.message_id)
            self._outcomes.append(Outcome(spooled, acknowledged and not returned))
        if acknowledged:
            self._backoff.reset()
        self._pump_soon()

    def _pump_soon(self) -> None:
        """Confirms come in bunches: answer the bunch, not each."""
        if not self._pump_due and self._connection is not None:
            self._pump_due = True
            self._connection.ioloop.add_callback(self._pump)

    def _pump(self) -> None:
        self._pump_due = False
        self._awake = False
        channel = self._channel
        if channel is None or not channel.is_open:
            return
        outcomes, self._outcomes = self._outcomes, []
        for spooled in self._dispatch.step(outcomes):
            update = spooled.update
            self._latest_tag += 1
            self._unanswered[self._latest_tag] = spooled
            channel.basic_publish("", update.routing_key, update.body, publish_properties(update), mandatory=True)
        if not self._unanswered:
            self._rest()

    def _rest(self) -> None:
        with self._progressed:
            self._progressed.notify_all()
        wait_s = self._dispatch.retry_in_s()
        if wait_s is not None and self._connection is not None and not self._retry_due:
            self._retry_due = True
            self._connection.ioloop.call_later(wait_s, self._retry)

    def _retry(self) -> None:
        self._retry_due = False
        self._pump()

    def _adopt(self) -> None:
        if self._connection is not None and self._channel is not None:
            self._ledger.adopt()
            self._pump_soon()
            self._connection.ioloop.call_later(ADOPT_INTERVAL_S, self._adopt)


def _abort(connection: SelectConnection) -> None:
    """Close a connection whose loop was left by an exception; pika closes sockets only while the loop runs."""
    if connection.is_closed:
        return
    with contextlib.suppress(AMQPError):  # it may be closing already
        connection.close()
    connection.ioloop.call_later(ABORT_TIMEOUT_S, connection.ioloop.stop)
    connection.ioloop.start()
