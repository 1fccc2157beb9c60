"""The one task that owns the aio-pika connection and sends what is in the spool."""

import asyncio
import logging
from typing import TYPE_CHECKING

import aio_pika
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, DeliveryError

from models.ending import end
from models.redaction import redact
from publisher.backoff import Backoff
from publisher.dispatch import Dispatch, Outcome
from publisher.ledger import Ledger
from publisher.outgoing import Outgoing, Spooled

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel

logger = logging.getLogger(__name__)

ADOPT_INTERVAL_S = 30.0
CONNECT_TIMEOUT_S = 10.0


class AsyncSender:
    """Sends in order with publisher confirms, a window at a time; comes back to a lost broker with growing pauses.

    Args:
        amqp_url: The broker.
        name: What the broker's management pages call the connection.
        ledger: Whose spool is sent.
    """

    def __init__(self, amqp_url: str, name: str, ledger: Ledger) -> None:
        self._amqp_url = amqp_url
        self._name = name
        self._ledger = ledger
        self._dispatch = Dispatch(ledger)
        self._backoff = Backoff()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._progressed = asyncio.Event()
        self._awake = False
        self._complained = False
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
        await end(self._task)

    async def _run_sessions(self) -> None:
        while True:
            try:
                await self._connect_and_send()
            except (AMQPError, ChannelInvalidStateError, OSError, TimeoutError) as error:
                self._complain(error)
            except Exception:  # whatever it was, the task must live on: the next session starts from the spool
                logger.exception("Sending was interrupted", extra={"action": "publisher.sender_failed"})
            await asyncio.sleep(self._backoff.next_s())

    async def _connect_and_send(self) -> None:
        connection = await aio_pika.connect(
            self._amqp_url, timeout=CONNECT_TIMEOUT_S, client_properties={"connection_name": self._name}
        )
        async with connection:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            session = _Session(channel, self._news)
            try:
                await self._send(session)
            finally:
                await session.end()

    async def _send(self, session: "_Session") -> None:
        await asyncio.to_thread(self._dispatch.connected)
        if self._complained:
            self._complained = False
            logger.info("RabbitMQ is back", extra={"action": "publisher.connected"})
        adopt_at = 0.0
        while True:
            if self._loop.time() >= adopt_at:
                await asyncio.to_thread(self._ledger.adopt)
                adopt_at = self._loop.time() + ADOPT_INTERVAL_S
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

    def _complain(self, reason: BaseException) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                "RabbitMQ cannot be reached, updates wait in the spool: %s",
                redact(str(reason)) or type(reason).__name__,
                extra={"action": "publisher.disconnected"},
            )


class _Session:
    """The publishes of one channel. Their tasks run in the order in which they were made, and aiormq queues them so."""

    def __init__(self, channel: "AbstractChannel", news: asyncio.Event) -> None:
        self._channel = channel
        self._news = news
        self._tasks: set[asyncio.Task[None]] = set()
        self._outcomes: list[Outcome] = []
        self._lost: BaseException | None = None
        channel.close_callbacks.add(self._on_close)

    @property
    def in_flight(self) -> bool:
        """Whether the broker still owes answers."""
        return bool(self._tasks or self._outcomes)

    def publish(self, spooled: Spooled) -> None:
        """Publish one update, without waiting for the broker's answer."""
        task = asyncio.create_task(self._publish(spooled))
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def take_outcomes(self) -> list[Outcome]:
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
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _publish(self, spooled: Spooled) -> None:
        update = spooled.update
        try:
            await self._channel.default_exchange.publish(_message(update), update.routing_key, mandatory=True)
            self._outcomes.append(Outcome(spooled, delivered=True))
        except DeliveryError:
            self._outcomes.append(Outcome(spooled, delivered=False))

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if task.cancelled():
            self._lost = self._lost or AMQPError("the channel was closed")
        elif error := task.exception():
            self._lost = self._lost or error
        self._news.set()

    def _on_close(self, _channel: object, reason: BaseException | None) -> None:
        self._lost = self._lost or reason or AMQPError("the channel was closed")
        self._news.set()


def _message(update: Outgoing) -> aio_pika.Message:
    return aio_pika.Message(
        update.body,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=update.message_id,
        correlation_id=update.correlation_id,
        timestamp=update.timestamp,
    )
