"""What all clients of a web process share: one change stream per database, passed on to those whom it concerns."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import TypeVar

import structlog

from jobtrail.models.errors import FeedLostError, StoreError
from jobtrail.models.settings import Settings
from jobtrail.runtime.backoff import Backoff
from jobtrail.runtime.sleep import sleep_until
from jobtrail.runtime.tasks import cancel_and_wait
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.store.feed import Feed, Portion, Touch, TrailFeed, Update, console_feeds
from jobtrail.web.live.listener import Listener
from jobtrail.web.live.replay_buffer import BufferedUpdate, ReplayBuffer
from jobtrail.web.live.topics import JOB, RESOURCE, Topic, id_in, topics_of
from jobtrail.web.live.update import update_frame

log = structlog.get_logger()

MAX_READING_BACK = 4
"""Clients for which the database is read back at the same time."""

L = TypeVar("L", bound=Listener)


class Hub:
    """Follows the databases and notifies the listeners; buffers the latest updates for clients that come back."""

    def __init__(
        self, trail: TrailFeed, others: Sequence[Feed], *, retry_max_wait_s: float, buffer: ReplayBuffer | None = None
    ) -> None:
        self.buffer = buffer or ReplayBuffer()
        self._trail = trail
        self._others = others
        self._retry_max_wait_s = retry_max_wait_s
        self._audience: dict[Topic, set[Listener]] = {}
        self._listeners: set[Listener] = set()
        self._reading_back = asyncio.Semaphore(MAX_READING_BACK)
        self._is_over = False

    @property
    def position(self) -> str | None:
        """The token up to which all listeners were notified; None before the first."""
        return self._trail.position

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the databases, through their outages, until `stop` is set; then end all listeners."""
        async with asyncio.TaskGroup() as tasks:
            following = [tasks.create_task(self._follow(self._trail, self._begin, stop))]
            following += [tasks.create_task(self._follow(feed, self._notify_all, stop)) for feed in self._others]
            try:
                await stop.wait()
            finally:
                self._is_over = True
                for listener in self._listeners:
                    listener.end()
                await asyncio.gather(*(cancel_and_wait(task) for task in following))

    @contextmanager
    def listening(self, listener: L) -> Iterator[L]:
        """Notify a listener for as long as this lasts; then end it."""
        self._listeners.add(listener)
        for topic in listener.topics:
            self._audience.setdefault(topic, set()).add(listener)
        if self._is_over:
            listener.end()
        try:
            yield listener
        finally:
            listener.end()
            self._listeners.discard(listener)
            for topic in listener.topics:
                self._audience[topic].discard(listener)
                if not self._audience[topic]:
                    del self._audience[topic]

    async def read_back(self, topic: Topic, after: str) -> Portion:
        """Read the first updates after a token from the database, for a few clients at the same time.

        FeedLostError: they are not known any more.
        """
        async with self._reading_back:
            return await self._trail.read_back(after, job_id=id_in(topic, JOB), resource_id=id_in(topic, RESOURCE))

    async def _follow(self, feed: Feed, begin: Callable[[], None], stop: asyncio.Event) -> None:
        """Follow a feed, calling `begin` where it starts at the present, and so may have missed something.

        It watches `_is_over` too, as a cancellation may be lost in the driver: see `EventStream`.
        """
        backoff = Backoff(most_s=self._retry_max_wait_s)
        while not self._is_over:
            begins = feed.position is None
            try:
                async with aclosing(feed.follow()) as changes:
                    async for change in changes:
                        if begins:
                            begin()
                            begins = False
                        if change is not None:
                            self._publish(change)
                        backoff.reset()
                        if self._is_over:
                            return
            except (FeedLostError, StoreError) as error:
                wait_s = backoff.next_s()
                log.warning(
                    "Following interrupted", action="web.live.interrupted", error=str(error), wait_s=round(wait_s, 2)
                )
                await sleep_until(wait_s, stop)

    def _begin(self) -> None:
        """Start at the present: the updates before it are unknown here."""
        self.buffer.restart(self._trail.position or "")
        for listener in self._listeners:
            listener.restarted()

    def _notify_all(self) -> None:
        """Let all listeners look again: anything may have changed."""
        for listener in self._listeners:
            listener.notify(None)

    def _publish(self, change: Update | Touch) -> None:
        topics = topics_of(change)
        number = None
        if isinstance(change, Update) and (frame := update_frame(change)):
            number = self.buffer.add(BufferedUpdate(token=change.token, topics=topics, frame=frame))
        for topic in topics:
            for listener in self._audience.get(topic, ()):
                listener.notify(number)


def make_hub(settings: Settings, database: Database) -> Hub:
    """Make the hub of a web process; it works while `run` does."""
    return Hub(
        TrailFeed(database), console_feeds(Console(database, settings)), retry_max_wait_s=settings.retry_max_wait_s
    )
