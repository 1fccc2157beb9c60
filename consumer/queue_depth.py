"""How many requests wait in a worker's queue, and how many consumers it has, as the broker says."""

import asyncio
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass

import aiormq
import structlog
from pydantic import SecretStr

from models.errors import BrokerError
from models.redaction import redact
from publisher.amqp import broker_errors

log = structlog.get_logger()

KEPT_S = 5.0
"""Seconds for which an answer is kept; an outage of the broker too."""
KEPT_QUEUES = 1000
_TIMEOUT_S = 2.0
_LONGEST_NAME = 255
"""Bytes that AMQP allows."""


@dataclass(slots=True, frozen=True, kw_only=True)
class QueueDepth:
    """What the broker says of a queue."""

    queue: str
    waiting: int | None = None
    """Requests that no worker holds; None where that is not known."""
    consumers: int | None = None
    """Workers that take from it, or would; None where that is not known."""
    missing: bool = False
    """There is no such queue."""
    problem: str | None = None
    """Why nothing is known."""


class QueueGauge:
    """Asks the broker about queues, over a short connection each time; all who ask at once share one answer.

    Args:
        amqp_url: The broker; None where none is configured.
    """

    def __init__(self, amqp_url: SecretStr | None) -> None:
        self._amqp_url = amqp_url
        self._asked: OrderedDict[str, tuple[float, asyncio.Task[QueueDepth]]] = OrderedDict()

    async def read(self, queue: str) -> QueueDepth:
        """Ask how deep a queue is.

        Args:
            queue: Its name.

        Returns:
            What is known, `KEPT_S` old at the most. It never fails: an outage is told as a problem.
        """
        now_s = time.monotonic()
        asked_s, task = self._asked.get(queue, (now_s, None))
        if task is None or now_s - asked_s > KEPT_S or task.cancelled():
            task = asyncio.create_task(self._ask(queue))
            self._asked[queue] = (now_s, task)
            self._asked.move_to_end(queue)
            while len(self._asked) > KEPT_QUEUES:
                self._asked.popitem(last=False)
        # A reader who leaves must not take the answer from the others.
        return await asyncio.shield(task)

    async def _ask(self, queue: str) -> QueueDepth:
        if self._amqp_url is None:
            return QueueDepth(queue=queue, problem="no broker is configured")
        if len(queue.encode()) > _LONGEST_NAME:
            return QueueDepth(queue=queue, missing=True)
        try:
            with broker_errors():
                return await asyncio.wait_for(_declare_passively(self._amqp_url, queue), _TIMEOUT_S)
        except (BrokerError, ValueError) as error:  # a ValueError: the URL is none
            log.info("A queue's depth is not known", action="web.no_broker", queue=queue, error=redact(str(error)))
            return QueueDepth(queue=queue, problem="the broker can't be asked")


async def _declare_passively(amqp_url: SecretStr, queue: str) -> QueueDepth:
    connection = await aiormq.connect(amqp_url.get_secret_value())
    try:
        channel = await connection.channel()
        declared = await channel.queue_declare(queue, passive=True)
        return QueueDepth(queue=queue, waiting=declared.message_count, consumers=declared.consumer_count)
    except aiormq.ChannelNotFoundEntity:
        return QueueDepth(queue=queue, missing=True)
    finally:
        with suppress(aiormq.AMQPError, OSError, RuntimeError):
            await connection.close()
