"""What the consumer makes of the messages of a reply queue: status updates, or dead letters."""

from datetime import datetime

import structlog

from consumer.dead_letters import DeadLetters
from consumer.intake import Received
from consumer.metrics import QueueMetrics
from models.dead_letter import LETTER_HEADER, REPLAY_HEADER, dead_letter_headers, text_header
from models.delivery import Delivery
from models.errors import DecodeError
from models.settings import Settings
from models.wire import StatusUpdate, decode_status_update

log = structlog.get_logger()


class StatusReader:
    """Decodes status updates; puts what is none into the dead letters.

    Args:
        settings: The settings.
        metrics: What is counted.
    """

    def __init__(self, settings: Settings, metrics: QueueMetrics) -> None:
        self._queue = settings.reply_queue
        self._max_bytes = settings.max_body_bytes
        self._metrics = metrics
        self._letters = DeadLetters(settings.require_amqp_url(), settings.dead_letter_queue, self._queue)

    async def open(self) -> None:
        """Connect the dead letters.

        Raises:
            BrokerError: The broker can't be reached or refuses.
        """
        await self._letters.open()

    async def close(self) -> None:
        """Close that connection.

        Raises:
            BrokerError: It was lost already.
        """
        await self._letters.close()

    def read(
        self, received: Received, fingerprint: bytes, received_at: datetime
    ) -> tuple[Delivery, DecodeError | None]:
        """Make of a message what is to be stored.

        Args:
            received: The message.
            fingerprint: Its fingerprint.
            received_at: When it came.

        Returns:
            The delivery; and why it can't be processed, where it can't.
        """
        properties = received.properties
        update, error = self._decode(received.body)
        delivery = Delivery(
            fingerprint=fingerprint,
            received_at=received_at,
            update=update,
            message_id=properties.message_id or None,
            correlation_id=properties.correlation_id or None,
        )
        if properties.headers:
            delivery.replay_id = text_header(properties.headers, REPLAY_HEADER)
            delivery.letter_id = text_header(properties.headers, LETTER_HEADER)
        return delivery, error

    async def refuse(self, seq: int, received: Received, delivery: Delivery, error: DecodeError) -> Delivery:
        """Put a message that can't be processed into the dead letters.

        Args:
            seq: Its number.
            received: The message.
            delivery: What was to be stored of it.
            error: Why it can't be.

        Returns:
            What is to be stored of it instead.

        Raises:
            BrokerError: The broker did not confirm.
        """
        headers = dead_letter_headers(
            reason=error.reason,
            error=error.detail,
            queue=self._queue,
            exchange=received.message.exchange or "",
            routing_key=received.message.routing_key or "",
            received_at=delivery.received_at,
            seq=seq,
        )
        # The number is the same if it has to be done again after a crash: so a repeated letter is recognisable.
        await self._letters.put(received, headers, fallback_id=f"{self._queue}/{seq}")
        self._metrics.dead_lettered.labels(error.reason).inc()
        log.warning(
            "dead letter",
            action="consumer.dead_letter",
            reason=error.reason,
            error=error.detail,
            queue=self._queue,
            seq=seq,
            size_bytes=len(received.body),
        )
        delivery.update = None
        return delivery

    def _decode(self, body: bytes) -> tuple[StatusUpdate | None, DecodeError | None]:
        try:
            return decode_status_update(body, max_bytes=self._max_bytes), None
        except DecodeError as error:
            # A copy without the traceback, whose frames would keep the body in memory.
            return None, DecodeError(error.reason, error.detail)
