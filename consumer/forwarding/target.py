"""The queue that updates are forwarded to. It belongs to others: it may be full, and it may be gone."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from jobtrail.broker.properties import ids
from jobtrail.broker.sender import BulkSender, Message
from jobtrail.consumer.forwarding.copies import plain_properties
from jobtrail.models.errors import BrokerError, PoisonError
from jobtrail.runtime.sleep import sleep_until
from jobtrail.runtime.tasks import cancel_and_wait

log = structlog.get_logger()

_SEND_TIMEOUT_S = 30.0
_BLOCKED_TIMEOUT_S = 3600.0
"""As long as the broker accepts no messages, its confirms are waited for: a new connection would send all again, and
when the broker goes on, it takes from all connections what they have sent."""
_AGAIN_S = 1.0
"""Seconds after which what the queue refused is sent again."""


class Target:
    """Sends copies to one queue, each until it is confirmed. The queue is never declared, only looked for.

    `stop` ends the waits for a broker or a queue that accepts no messages for now; `tell` gets what is waited for.
    """

    def __init__(self, amqp_url: str, queue: str, name: str, stop: asyncio.Event, tell: Callable[[str], None]) -> None:
        self._amqp_url = amqp_url
        self._queue = queue
        self._name = name
        self._stop = stop
        self._tell = tell
        self._sender = BulkSender(amqp_url, name)

    async def open(self) -> None:
        """Connect, and look for the queue."""
        await self._sender.open()
        channel = await self._sender.connection.channel()
        try:
            await channel.declare_queue(self._queue, passive=True)
        finally:
            await channel.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._sender.close()

    async def send(self, messages: Sequence[Message]) -> bool:
        """Send messages in order; one that the broker would not take with its properties goes without them.

        Return whether all were confirmed: False if it was time to stop. After an error some may have arrived.
        """
        try:
            return await self._send_all(messages)
        except PoisonError as error:
            await self._sender.close()
            self._sender = BulkSender(self._amqp_url, self._name)
            await self._sender.open()
            half = len(messages) // 2
            if half:
                return await self.send(messages[:half]) and await self.send(messages[half:])
            log.warning("properties are left out", action="forwarder.properties", reason=str(error))
            message_id, _correlation_id = ids(messages[0].properties)
            return await self._send_all([replace(messages[0], properties=plain_properties(message_id or ""))])

    async def _send_all(self, messages: Sequence[Message]) -> bool:
        """Send; and send again what the queue refuses, as a full one may: it has the others already."""
        while messages:
            refused = await self._send_once(messages)
            if refused is None:
                return False
            messages = [messages[place] for place in sorted(refused)]
            if messages:
                self._tell(f"refused: {self._queue} accepts no more messages for now; is it full?")
                await sleep_until(_AGAIN_S, self._stop)
                if self._stop.is_set():
                    return False
        self._tell("forwarding")
        return True

    async def _send_once(self, messages: Sequence[Message]) -> set[int] | None:
        """Send, and wait for the confirms: some seconds, or as long as the broker takes no messages.

        Return the places of those that were refused; None if it was time to stop.
        """
        connection = self._sender.connection
        while connection.blocked and not self._stop.is_set():
            self._tell_blocked()
            await sleep_until(_AGAIN_S, self._stop, connection.lost)
            connection.raise_if_lost()
        if self._stop.is_set():
            return None
        sending = asyncio.create_task(self._sender.send(messages, _BLOCKED_TIMEOUT_S))
        try:
            return await self._confirms(sending)
        finally:
            await cancel_and_wait(sending)

    async def _confirms(self, sending: "asyncio.Task[set[int]]") -> set[int] | None:
        waited_s = 0.0
        while not (await asyncio.wait((sending,), timeout=_AGAIN_S))[0]:
            if self._sender.connection.blocked:
                self._tell_blocked()
                waited_s = 0.0
                if self._stop.is_set():
                    return None
            waited_s += _AGAIN_S
            if waited_s > _SEND_TIMEOUT_S:
                raise BrokerError(f"RabbitMQ did not confirm within {_SEND_TIMEOUT_S:g} s")
        return sending.result()

    def _tell_blocked(self) -> None:
        self._tell("blocked: RabbitMQ accepts no messages for now: it is short of memory or disk")
