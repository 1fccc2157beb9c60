"""One channel's way out of the outbox: claim, send, note what became of it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog

from jobtrail.models.errors import StoreError
from jobtrail.models.notifications.outbox import GROUPING_S, Envelope
from jobtrail.reconciler.channels.base import NotificationChannel, SendOutcome, SendVerdict
from jobtrail.reconciler.channels.metrics import OutboxMetrics
from jobtrail.runtime.backoff import Backoff
from jobtrail.runtime.sleep import sleep_until
from jobtrail.store.notifications.outbox import OutboxRepository

log = structlog.get_logger(__name__)

IDLE_S = 0.5
"""Pause between two looks into the outbox when nothing is due."""
LEASE_S = 120.0
"""Time after which another dispatcher may take over what this one claimed."""
SEND_S = 45.0
"""Time that one send may take; longer than all time-outs of a channel's client together."""
CLAIM_MAX = 50
"""Messages claimed at once."""
_FIRST_RETRY_S, _LAST_RETRY_S = 5.0, 3600.0
_LOGGED_MAX = 50
"""Dataset ids that a log record lists."""

Alarm = Callable[[NotificationChannel, SendOutcome, Sequence[Envelope]], Awaitable[None]]
"""Alerts the admins to a channel's outage: the channel, what it said, the messages that it was to take."""


def retry_delay_s(attempts: int) -> float:
    """Choose how long a message waits after a failed attempt.

    Returns seconds: about 4, 11, 34, 100 … up to an hour; with jitter, so that what failed together comes back apart.
    """
    return min(_FIRST_RETRY_S * 3.0 ** min(attempts - 1, 20), _LAST_RETRY_S) * random.uniform(0.5, 1.0)  # noqa: S311


class ChannelSender:
    """Sends what is due on one channel.

    `most_pause_s`: longest pause in seconds while the channel or the database is away.
    """

    def __init__(
        self,
        channel: NotificationChannel,
        outbox: OutboxRepository,
        metrics: OutboxMetrics,
        alarm: Alarm,
        *,
        holder: str,
        max_attempts: int,
        most_pause_s: float,
    ) -> None:
        self._channel = channel
        self._outbox = outbox
        self._metrics = metrics
        self._alarm = alarm
        self._holder = holder
        self._max_attempts = max_attempts
        self._channel_pause = Backoff(most_s=most_pause_s)
        self._database_pause = Backoff(most_s=most_pause_s)
        self._outage = False
        self._log = log.bind(channel=channel.name.value)

    async def run(self, stop: asyncio.Event) -> None:
        """Send what is due until stopped, through every outage of the channel and the database."""
        while not stop.is_set():
            await sleep_until(await self._turn(stop), stop)

    async def drain(self, stop: asyncio.Event) -> None:
        """Send until nothing is due any more, or the channel or the database is away."""
        try:
            while not (stop.is_set() or self._outage) and await self._outbox.has_due(self._channel.name, GROUPING_S):
                await sleep_until(await self._turn(stop), stop)
        except StoreError as error:
            self._log.warning("Outbox left as it is", action="outbox.database_lost", error=str(error))

    async def _turn(self, stop: asyncio.Event) -> float:
        """Claim and send once.

        Returns how many seconds to wait before the next turn.
        """
        try:
            envelopes = await self._claim()
            if not envelopes and self._outage and not await self._outbox.has_due(self._channel.name, _LAST_RETRY_S):
                self._end_outage()  # another dispatcher got through
            pause_s = await self._send(envelopes, stop) if envelopes else IDLE_S
            self._database_pause.reset()
        except StoreError as error:
            pause_s = self._database_pause.next_s()
            self._log.warning(
                "Database away", action="outbox.database_lost", error=str(error), wait_s=round(pause_s, 2)
            )
        return pause_s

    async def _claim(self) -> list[Envelope]:
        if self._channel.groups:
            claimed = await self._outbox.claim_group(self._channel.name, self._holder, lease_s=LEASE_S)
        else:
            # One message is enough to see whether the channel is back.
            limit = 1 if self._outage else CLAIM_MAX
            claimed = await self._outbox.claim(self._channel.name, self._holder, lease_s=LEASE_S, limit=limit)
        worn = [envelope for envelope in claimed if envelope.attempts > self._max_attempts]
        for envelope in worn:
            await self._give_up(
                envelope, "sender_died", "whoever sent it died each time before it could tell the outcome"
            )
        return [envelope for envelope in claimed if envelope not in worn]

    async def _send(self, envelopes: list[Envelope], stop: asyncio.Event) -> float:
        """Send what was claimed; give back what must wait because the channel does, or we leave, or time is up."""
        now = asyncio.get_running_loop().time
        leave_at = now() + LEASE_S - 2 * SEND_S
        pause_s = None
        while envelopes and pause_s is None and not stop.is_set() and now() < leave_at:
            chunk, envelopes = envelopes[: self._channel.batch_max], envelopes[self._channel.batch_max :]
            pause_s = await self._note(chunk, await self._attempt(chunk), stop)
        await self._channel.close()
        for envelope in envelopes:
            await self._outbox.give_back(envelope)
        return self._channel.interval_s if pause_s is None else pause_s

    async def _attempt(self, envelopes: Sequence[Envelope]) -> Sequence[SendOutcome]:
        try:
            async with asyncio.timeout(SEND_S):
                return await self._channel.send(envelopes)
        except TimeoutError:
            outcome = SendOutcome(verdict=SendVerdict.OUTAGE, code="timeout", error=f"no answer within {SEND_S:g} s")
        except Exception as error:  # noqa: BLE001  # one message's defect must not stop the others
            if len(envelopes) > 1:
                return [outcome for one in envelopes for outcome in await self._attempt([one])]
            self._log.exception("Message shows a defect", action="outbox.defect", key=envelopes[0].key)
            outcome = SendOutcome(verdict=SendVerdict.FAILED, code=type(error).__name__, error=f"a defect: {error!r}")
        return [outcome] * len(envelopes)

    async def _note(
        self, envelopes: Sequence[Envelope], outcomes: Sequence[SendOutcome], stop: asyncio.Event
    ) -> float | None:
        """Store what became of messages.

        Returns how many seconds the channel must pause; None if it need not.
        """
        both = list(zip(envelopes, outcomes, strict=True))
        sent = [envelope for envelope, outcome in both if outcome.verdict is SendVerdict.SENT]
        if sent:
            await self._persist(lambda: self._outbox.sent(sent), stop)
        for envelope in sent:
            self._metrics.sent.labels(self._channel.name).inc()
            self._log.info("Message sent", action="outbox.sent", **_fields(envelope))
        for envelope, outcome in both:
            if outcome.verdict is not SendVerdict.SENT:
                await self._persist(partial(self._put_back, envelope, outcome), stop)
        return await self._judge_channel(envelopes, outcomes, stop)

    async def _put_back(self, envelope: Envelope, outcome: SendOutcome) -> None:
        """Note that a message was not sent."""
        error = outcome.error or outcome.verdict.value
        if outcome.verdict is SendVerdict.LIMITED:
            await self._outbox.give_back(envelope, outcome.after_s or 0.0)
        elif outcome.verdict is SendVerdict.REFUSED or envelope.attempts >= self._max_attempts:
            await self._give_up(envelope, outcome.code, error)
        else:
            delay_s = max(retry_delay_s(envelope.attempts), outcome.after_s or 0.0)
            await self._outbox.postpone(envelope, error, delay_s)
            if outcome.verdict is not SendVerdict.OUTAGE:  # which is reported once, not once per message
                self._log.warning(
                    "Message not sent; it is tried again",
                    action="outbox.postponed",
                    code=outcome.code,
                    error=error,
                    wait_s=round(delay_s, 1),
                    **_fields(envelope),
                )
        self._metrics.failed_attempts.labels(self._channel.name, outcome.verdict).inc()

    async def _give_up(self, envelope: Envelope, code: str | None, error: str) -> None:
        await self._outbox.give_up(envelope, error)
        self._metrics.given_up.labels(self._channel.name).inc()
        self._log.error(
            "Message given up; send it again with: jobtrail outbox retry",
            action="outbox.given_up",
            code=code,
            error=error,
            **_fields(envelope),
        )

    async def _judge_channel(
        self, envelopes: Sequence[Envelope], outcomes: Sequence[SendOutcome], stop: asyncio.Event
    ) -> float | None:
        """Find out from the last outcome whether the whole channel must pause, and for how long."""
        outcome = outcomes[-1]
        if outcome.verdict is SendVerdict.OUTAGE:
            await self._begin_outage(envelopes, outcome, stop)
        elif self._outage:
            self._end_outage()
        if outcome.verdict not in (SendVerdict.OUTAGE, SendVerdict.LIMITED):
            self._channel_pause.reset()
            return None
        pause_s = outcome.after_s or self._channel_pause.next_s()
        if outcome.verdict is SendVerdict.LIMITED:
            self._log.warning("Channel limits our rate", action="outbox.rate_limited", wait_s=round(pause_s, 1))
        return pause_s

    async def _begin_outage(self, envelopes: Sequence[Envelope], outcome: SendOutcome, stop: asyncio.Event) -> None:
        """Tell of an outage, once."""
        if self._outage:
            return
        self._outage = True
        self._metrics.outage.labels(self._channel.name).set(1)
        dataset_ids = list(dict.fromkeys(dataset_id for envelope in envelopes for dataset_id in envelope.dataset_ids))
        self._log.error(
            "Channel takes no messages; they wait in the outbox",
            action=self._channel.alert.action,
            code=outcome.code,
            error=outcome.error,
            fallback=self._channel.fallback,
            dataset_ids=dataset_ids[:_LOGGED_MAX],
        )
        await self._persist(lambda: self._alarm(self._channel, outcome, envelopes), stop)

    def _end_outage(self) -> None:
        self._outage = False
        self._metrics.outage.labels(self._channel.name).set(0)
        self._log.info("Channel is back", action="outbox.channel_back")

    async def _persist(self, write: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        """Write through a short outage of the database: a message whose end was not noted would be sent again."""
        now = asyncio.get_running_loop().time
        leave_at = now() + LEASE_S
        while True:
            try:
                return await write()
            except StoreError:
                if stop.is_set() or now() > leave_at:
                    raise
                await sleep_until(self._database_pause.next_s(), stop)


def _fields(envelope: Envelope) -> dict[str, object]:
    return {
        "key": envelope.key,
        "dataset_ids": envelope.dataset_ids[:_LOGGED_MAX],
        "entries": len(envelope.entries),
        "attempt": envelope.attempts,
    }
