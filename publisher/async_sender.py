"""The one task that owns the aio-pika connection and sends what is in the spool."""

import asyncio
import itertools
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import aio_pika
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, DeliveryError

from jobtrail.broker.address import CONNECT_TIMEOUT_S, HEARTBEAT_S, broker_urls
from jobtrail.publisher import dispatch
from jobtrail.publisher.dispatch import Dispatch, PublishOutcome
from jobtrail.publisher.outgoing import OutgoingUpdate, Spooled
from jobtrail.publisher.spool.ledger import SpoolLedger
from jobtrail.runtime.backoff import Backoff
from jobtrail.runtime.tasks import cancel_and_wait

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection

logger = logging.getLogger(__name__)

_ASK_INTERVAL_S = 4.0
_ANSWER_TIMEOUT_S = 10.0
"""A broker that leaves a question unanswered for so long counts as lost."""
_CLOSE_TIMEOUT_S = 5.0
_BLOCKED_WAIT_S = 0.05


class AsyncSender:
    """Sends in order with publisher confirms, a window at a time; comes back to a lost broker with growing pauses.

    Args:
        amqp_url: The broker, or the nodes of its cluster, which are tried in turn.
        name: What the broker's management pages call the connection.
        ledger: Whose spool is sent.
    """

    def __init__(self, amqp_url: str, name: str, ledger: SpoolLedger) -> None:
        urls = broker_urls(amqp_url)
        self._urls = itertools.cycle(urls)
        self._url_count = len(urls)
        self._name = name
        self._ledger = ledger
        self._dispatch = Dispatch(ledger)
        self._backoff = Backoff()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._progressed = asyncio.Event()
        self._awake = False
        self._task = asyncio.create_task(self._run_sessions(), name="jobtrail-publisher")

    def wake(self) -> None:
        """Tell that the spool has something new. Cheap, from any thread."""
        if not self._awake and not self._loop.is_closed():
            self._awake = True
            self._loop.call_soon_threadsafe(self._news.set)

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything is sent that can be.

        Args:
            timeout_s: How long to wait, in seconds.

        Returns:
            Whether everything was sent; updates for reply queues that take none are not waited for.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self._progressed.clear()
                    if await asyncio.to_thread(self._dispatch.all_sent):
                        return True
                    await self._progressed.wait()
        except TimeoutError:
            return False

    async def stop(self) -> None:
        """Close the connection and end the task."""
        await cancel_and_wait(self._task)

    async def _run_sessions(self) -> None:
        while True:
            try:
                await self._connect_and_send()
            except (AMQPError, ChannelInvalidStateError, OSError, TimeoutError) as error:
                self._dispatch.disconnected(error)
            except Exception:  # whatever it was, the task must live on: the next session starts from the spool
                logger.exception("Sending was interrupted", extra={"action": "publisher.sender_failed"})
            # The pause is for a round over all nodes.
            await asyncio.sleep(self._backoff.next_s() / self._url_count)

    async def _connect_and_send(self) -> None:
        connection = await aio_pika.connect(
            next(self._urls),
            timeout=CONNECT_TIMEOUT_S,
            client_properties={"connection_name": self._name},
            heartbeat=HEARTBEAT_S,
        )
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            session = _Session(connection, channel, self._news)
            try:
                await self._send(session)
            finally:
                await session.end()
        finally:
            # A broker that is silent would not let go of us for long.
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await connection.close()

    async def _send(self, session: "_Session") -> None:
        await asyncio.to_thread(self._dispatch.connected)
        adopt_at = 0.0
        while True:
            if self._loop.time() >= adopt_at:
                await asyncio.to_thread(self._ledger.adopt)
                adopt_at = self._loop.time() + dispatch.ADOPT_INTERVAL_S
            self._news.clear()
            self._awake = False
            outcomes = session.take_outcomes()
            if any(outcome.delivered for outcome in outcomes):
                self._backoff.reset()
            for spooled in await asyncio.to_thread(self._dispatch.step, outcomes):
                session.publish(spooled)
            if not session.in_flight:
                self._progressed.set()
            await self._wait_for_news(adopt_at)

    async def _wait_for_news(self, adopt_at: float) -> None:
        retry_in_s = self._dispatch.retry_in_s()
        wait_s = adopt_at - self._loop.time()
        try:
            async with asyncio.timeout(wait_s if retry_in_s is None else min(wait_s, retry_in_s)):
                await self._news.wait()
        except TimeoutError:
            return


class _Session:
    """The publishes of one channel. Their tasks run in the order in which they were made, and aiormq queues them so.

    A half-open connection is noticed: aiormq alone takes half a minute until it misses a broker, and does not miss one
    that no longer hears us.
    """

    def __init__(self, connection: "AbstractConnection", channel: "AbstractChannel", news: asyncio.Event) -> None:
        self._connection = connection
        self._channel = channel
        self._news = news
        self._tasks: set[asyncio.Task[None]] = set()
        self._outcomes: list[PublishOutcome] = []
        self._answered_at = time.monotonic()
        self._lost: BaseException | None = None
        channel.close_callbacks.add(self._on_close)
        self._watch = asyncio.create_task(self._ask_again_and_again())
        self._watch.add_done_callback(self._on_done)

    @property
    def in_flight(self) -> bool:
        """Whether the broker still owes answers."""
        return bool(self._tasks or self._outcomes)

    def publish(self, spooled: Spooled) -> None:
        """Publish one update, without waiting for the broker's answer."""
        if not self._tasks:
            self._answered_at = time.monotonic()
        task = asyncio.create_task(self._publish(spooled))
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def take_outcomes(self) -> list[PublishOutcome]:
        """Return the broker's answers since the last call.

        Raises:
            AMQPError: The channel was lost.
        """
        if self._lost is not None:
            raise self._lost
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    async def end(self) -> None:
        """Give up what is in flight."""
        self._channel.close_callbacks.discard(self._on_close)
        tasks = [*self._tasks, self._watch]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _publish(self, spooled: Spooled) -> None:
        update = spooled.update
        try:
            await self._channel.default_exchange.publish(_message(update), update.routing_key, mandatory=True)
            self._outcomes.append(PublishOutcome(spooled, delivered=True))
        except DeliveryError:
            self._outcomes.append(PublishOutcome(spooled, delivered=False))

    async def _ask_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(_ASK_INTERVAL_S)
            answer = asyncio.create_task(self._channel.set_qos())  # changes nothing, as nothing is consumed here
            try:
                while not (await asyncio.wait({answer}, timeout=_ANSWER_TIMEOUT_S))[0]:
                    if not await self._is_blocked():
                        raise ConnectionError(f"RabbitMQ has not answered for {_ANSWER_TIMEOUT_S:g} s")
                    self._answered_at = time.monotonic()  # it owes nothing until it takes updates again
                await answer
            finally:
                answer.cancel()
            silent_s = time.monotonic() - self._answered_at
            if self._tasks and silent_s > dispatch.CONFIRM_TIMEOUT_S:
                raise ConnectionError(f"RabbitMQ has not confirmed an update for {silent_s:.0f} s")

    async def _is_blocked(self) -> bool:
        """Whether the broker takes nothing for now, its memory or disk being short: then it does not answer either."""
        transport = self._connection.transport
        if transport is None:
            return False
        try:
            async with asyncio.timeout(_BLOCKED_WAIT_S):
                await transport.ready()
        except TimeoutError:
            return True
        return False

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._answered_at = time.monotonic()
        if task.cancelled():
            self._lost = self._lost or AMQPError("the channel was closed")
        elif error := task.exception():
            self._lost = self._lost or error
        self._news.set()

    def _on_close(self, _channel: object, reason: BaseException | None) -> None:
        self._lost = self._lost or reason or AMQPError("the channel was closed")
        self._news.set()


def _message(update: OutgoingUpdate) -> aio_pika.Message:
    return aio_pika.Message(
        update.body,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=update.message_id,
        correlation_id=update.correlation_id,
        timestamp=update.timestamp,
    )
