"""The dispatcher: sends what is in the outbox, one sender per channel. Any number of processes may dispatch."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from jobtrail.models.errors import StoreError
from jobtrail.models.notifications.alert import Alert
from jobtrail.models.notifications.outbox import Envelope, OutboxEntry, OutboxState
from jobtrail.models.settings import ChannelName, Settings
from jobtrail.reconciler.channel_sender import ChannelSender
from jobtrail.reconciler.channels.base import NotificationChannel, SendOutcome, news_in
from jobtrail.reconciler.channels.metrics import OutboxMetrics
from jobtrail.runtime.sleep import sleep_until
from jobtrail.store.database import Database
from jobtrail.store.leases.lease import new_holder
from jobtrail.store.notifications.outbox import OutboxRepository

COUNT_S = 15.0
"""Seconds between two counts of the outbox, for the metrics."""


class Dispatcher:
    """Sends what is in the outbox. Entries for other channels than the given ones wait and cost nothing."""

    def __init__(
        self, settings: Settings, database: Database, channels: Sequence[NotificationChannel], metrics: OutboxMetrics
    ) -> None:
        self._slack_channel = settings.slack_channel
        self._outbox = OutboxRepository(database)
        self._metrics = metrics
        holder = new_holder()
        self._senders = [
            ChannelSender(
                channel,
                self._outbox,
                metrics,
                self._raise_alarm,
                holder=holder,
                max_attempts=settings.outbox_max_attempts,
                most_pause_s=settings.retry_max_wait_s,
            )
            for channel in channels
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Send what is due until stopped, through every outage."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._count(stop))
            for sender in self._senders:
                tasks.create_task(sender.run(stop))

    async def drain(self, timeout_s: float) -> None:
        """Send what is due, for a command that ends. What fails stays for the service, or the next command.

        `timeout_s`: how long it may take, in seconds; a send that is under way then is finished.
        """
        stop = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(timeout_s, stop.set)
        try:
            async with asyncio.TaskGroup() as tasks:
                for sender in self._senders:
                    tasks.create_task(sender.drain(stop))
        finally:
            timer.cancel()

    async def _count(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                backlog = await self._outbox.backlog()
            except StoreError:  # the senders log it
                backlog = None
            if backlog is not None:
                for channel in ChannelName:
                    for state in (OutboxState.WAITING, OutboxState.SENDING, OutboxState.FAILED):
                        self._metrics.entries.labels(channel, state).set(backlog.get((channel, state), 0))
            await sleep_until(COUNT_S, stop)

    async def _raise_alarm(
        self, channel: NotificationChannel, outcome: SendOutcome, envelopes: Sequence[Envelope]
    ) -> None:
        """Tell the admins on Slack that another channel is away; one alert per hour, whoever notices."""
        recipient = self._slack_channel
        if recipient is None or channel.name is ChannelName.SLACK:
            return
        now = datetime.now(UTC)
        waiting = [news for envelope in envelopes for news in news_in(envelope)]
        alert = Alert(
            kind=channel.alert,
            cause=f"{outcome.error}. Meanwhile {channel.fallback}.",
            at=now,
            run_id="dispatcher",
            dataset_ids=list(dict.fromkeys(news.dataset_id for news in waiting)),
            wishlists=list(dict.fromkeys(news.wishlist for news in waiting)),
        )
        entry = OutboxEntry(
            key=f"{channel.alert}:{now:%Y-%m-%dT%H}:{ChannelName.SLACK}:{recipient}",
            channel=ChannelName.SLACK,
            recipient=recipient,
            body=alert,
            cause=f"{channel.alert}: {outcome.code}",
            created_at=now,
            not_before=now,
        )
        await self._outbox.insert([entry])
