"""The one background thread that owns the pika connection and sends what is in the spool."""

import encodings.idna  # noqa: F401  # pika's look-up of names would import it in our thread: no fork survives that
import logging
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pika

from jobtrail.broker.link import Link
from jobtrail.broker.watch import LOOK_S
from jobtrail.publisher import dispatch
from jobtrail.publisher.connection import publish_properties
from jobtrail.publisher.dispatch import Dispatch, PublishOutcome
from jobtrail.publisher.outgoing import Spooled
from jobtrail.publisher.spool.ledger import SpoolLedger
from jobtrail.runtime.backoff import Backoff

if TYPE_CHECKING:
    from pika.channel import Channel
    from pika.frame import Method
    from pika.spec import Basic, BasicProperties

logger = logging.getLogger(__name__)


class Sender:
    """Sends in order with publisher confirms, a window at a time; comes back to a lost broker with growing pauses.

    pika's blocking connection waits for each confirm alone; its asynchronous one, used here, has many in flight.

    Args:
        nodes: The parameters of the broker's nodes, which are tried in turn.
        ledger: Whose spool is sent.
    """

    def __init__(self, nodes: Sequence[pika.URLParameters], ledger: SpoolLedger) -> None:
        self._ledger = ledger
        self._dispatch = Dispatch(ledger)
        self._backoff = Backoff()
        self._stopping = threading.Event()
        self._progressed = threading.Condition()
        self._link = Link(nodes, self._on_channel, self._dispatch.disconnected)
        self._ready = False
        self._unanswered: dict[int, Spooled] = {}
        self._returned: set[str] = set()
        self._outcomes: list[PublishOutcome] = []
        self._answered_at = 0.0
        """When the broker last answered to an update, or had none to answer to, on a clock that only goes forward."""
        self._latest_tag = 0
        self._awake = False
        self._pump_due = False
        self._retry_due = False
        self._thread = threading.Thread(target=self._run, name="jobtrail-publisher", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Tell that the spool has something new. Cheap, from any thread."""
        # The sender clears the flag before it reads the spool, we look at it after writing: nothing is overlooked.
        if not self._awake:
            self._awake = True
            self._link.call(self._pump)

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
        self._link.stop()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._unanswered.clear()
            self._returned.clear()
            self._outcomes.clear()
            self._pump_due = self._retry_due = self._ready = False
            try:
                self._link.run()
            except Exception:  # whatever it was, the thread must live on: the next session starts from the spool
                logger.exception("Sending was interrupted", extra={"action": "publisher.sender_failed"})
            # The pause is for a round over all nodes.
            self._stopping.wait(self._backoff.next_s() / self._link.node_count)

    def _on_channel(self, channel: "Channel") -> None:
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, callback=self._on_ready)

    def _on_ready(self, _frame: object) -> None:
        self._ready = True
        self._latest_tag = 0
        self._dispatch.connected()
        self._adopt()
        self._pump()
        self._link.call_later(LOOK_S, self._look_at_confirms)

    def _look_at_confirms(self) -> None:
        """Give up a connection on which the broker answers all but our updates: another one may do better."""
        if self._link.channel is None:
            return
        if self._link.blocked:
            self._answered_at = time.monotonic()  # it owes nothing until it takes updates again
        silent_s = time.monotonic() - self._answered_at
        if self._unanswered and silent_s > dispatch.CONFIRM_TIMEOUT_S:
            self._link.drop(f"RabbitMQ has not confirmed an update for {silent_s:.0f} s")
            return
        self._link.call_later(LOOK_S, self._look_at_confirms)

    def _on_return(
        self, _channel: "Channel", _method: "Basic.Return", properties: "BasicProperties", _body: bytes
    ) -> None:
        # The broker confirms a returned message too, right after it.
        if properties.message_id is not None:
            self._returned.add(properties.message_id)

    def _on_confirm(self, frame: "Method[Basic.Ack | Basic.Nack]") -> None:
        self._answered_at = time.monotonic()
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
            self._outcomes.append(PublishOutcome(spooled, acknowledged and not returned))
        if acknowledged:
            self._backoff.reset()
        self._pump_soon()

    def _pump_soon(self) -> None:
        """Confirms come in bunches: answer the bunch, not each."""
        if not self._pump_due:
            self._pump_due = True
            self._link.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_due = False
        self._awake = False
        channel = self._link.channel
        if channel is None or not self._ready:
            return
        outcomes, self._outcomes = self._outcomes, []
        if not self._unanswered:
            self._answered_at = time.monotonic()
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
        if wait_s is not None and not self._retry_due:
            self._retry_due = True
            self._link.call_later(wait_s, self._retry)

    def _retry(self) -> None:
        self._retry_due = False
        self._pump()

    def _adopt(self) -> None:
        if self._link.channel is not None:
            self._ledger.adopt()
            self._pump_soon()
            self._link.call_later(dispatch.ADOPT_INTERVAL_S, self._adopt)
