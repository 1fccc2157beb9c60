"""How many requests wait in a worker's queue, and how many consumers it has, as the broker says."""

import asyncio
import logging
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass

from pydantic import SecretStr

from jobtrail.broker.connection import Connection
from jobtrail.models.errors import BrokerError, NotFoundError, SettingError
from jobtrail.models.redaction import redact

logger = logging.getLogger(__name__)

KEPT_S = 5.0
"""Seconds for which an answer is kept; an outage of the broker too."""
KEPT_QUEUES = 1000
_ANSWER_TIMEOUT_S = 1.5
_CLOSE_TIMEOUT_S = 0.5
"""Seconds; both together bound every wait."""
_LONGEST_NAME = 255
"""Bytes that AMQP allows."""


@dataclass(slots=True, frozen=True, kw_only=True)
class QueueDepth:
    """What the broker says of a queue."""

    queue: str
    waiting: int | None = None
    """Requests that no worker holds; None where that is not known. Of a stream it is all that it keeps, read or not."""
    consumers: int | None = None
    """Workers that take from it, or would; None where that is not known. Those who read a stream are not counted."""
    missing: bool = False
    """The queue does not exist."""
    problem: str | None = None
    """Why nothing is known."""


class QueueGauge:
    """Asks the broker about queues, over a short connection each time; all who ask at once share one answer."""

    def __init__(self, amqp_url: SecretStr | None) -> None:
        self._amqp_url = amqp_url
        self._asked: OrderedDict[str, tuple[float, asyncio.Task[QueueDepth]]] = OrderedDict()

    async def read(self, queue: str) -> QueueDepth:
        """Ask how deep a queue is. The answer is at most `KEPT_S` old, and tells of an outage instead of raising."""
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
        if len(queue.encode("utf-8", "surrogatepass")) > _LONGEST_NAME:
            return QueueDepth(queue=queue, missing=True)
        try:
            return await _declare_passively(self._amqp_url.get_secret_value(), queue)
        except NotFoundError:
            return QueueDepth(queue=queue, missing=True)
        except (BrokerError, SettingError, TimeoutError, UnicodeError) as error:
            logger.info(
                "The depth of %r is not known: %s", queue, redact(str(error)), extra={"action": "broker.depth_unknown"}
            )
            return QueueDepth(queue=queue, problem="the broker can't be asked")


async def _declare_passively(amqp_url: str, queue: str) -> QueueDepth:
    connection = Connection(amqp_url, "jobtrail queue depth")
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            await connection.open()
            channel = await connection.channel()
            declared = await channel.declare_queue(queue, passive=True)
            return QueueDepth(queue=queue, waiting=declared.messages, consumers=declared.consumers)
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await connection.close()
