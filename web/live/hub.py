"""What all clients of a web process share: one stream of changes per database, told to those whom they concern."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import TypeVar

import structlog

from jobtrail.models.errors import FeedLostError, StoreError
from jobtrail.models.settings import Settings
from jobtrail.runtime.backoff import Backoff
from jobtrail.runtime.sleep import pause
from jobtrail.runtime.tasks import end
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.store.feed import Feed, Portion, Touch, TrailFeed, Update, console_feeds
from jobtrail.web.live.listener import Listener
from jobtrail.web.live.ring import Ring, RingEntry
from jobtrail.web.live.topics import JOB, RESOURCE, Topic, id_in, topics_of
from jobtrail.web.live.update import update_frame

log = structlog.get_logger()

MAX_READING_BACK = 4
"""Clients for which the past is read at the same time."""

L = TypeVar("L", bound=Listener)


class Hub:
    """Follows the databases and tells the listeners; keeps the latest updates for those that come back.

    Args:
        trail: The changes of the trail's database.
        others: The changes of other databases.
        retry_max_wait_s: The longest pause between two tries to reach the database, in seconds.
        ring: Where the latest updates are kept.
    """

    def __init__(
        self, trail: TrailFeed, others: Sequence[Feed], *, retry_max_wait_s: float, ring: Ring | None = None
    ) -> None:
        self.ring = ring or Ring()
        self._trail = trail
        self._others = others
        self._retry_max_wait_s = retry_max_wait_s
        self._audience: dict[Topic, set[Listener]] = {}
        self._listeners: set[Listener] = set()
        self._reading_back = asyncio.Semaphore(MAX_READING_BACK)
        self._is_over = False

    @property
    def position(self) -> str | None:
        """The token up to which everything was told; None where nothing can be told yet."""
        return self._trail.position

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the databases, through their outages, until told to stop; then all listeners end.

        Args:
            stop: Ends it.
        """
        async with asyncio.TaskGroup() as tasks:
            following = [tasks.create_task(self._follow(self._trail, self._begin, stop))]
            following += [tasks.create_task(self._follow(feed, self._stir, stop)) for feed in self._others]
            try:
                await stop.wait()
            finally:
                self._is_over = True
                for listener in self._listeners:
                    listener.end()
                await asyncio.gather(*(end(task) for task in following))

    @contextmanager
    def telling(self, listener: L) -> Iterator[L]:
        """Let somebody listen for as long as this lasts; then they end."""
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
        """Read updates that the ring does not hold any more, oldest first; for a few clients at the same time.

        Args:
            topic: `all`, a job, or a resource.
            after: The token after which to begin.

        Returns:
            The first of them.

        Raises:
            FeedLostError: They are not known any more, or this is no token.
            StoreError: The database can't be reached.
        """
        async with self._reading_back:
            return await self._trail.read_back(after, job_id=id_in(topic, JOB), resource_id=id_in(topic, RESOURCE))

    async def _follow(self, feed: Feed, begin: Callable[[], None], stop: asyncio.Event) -> None:
        """Follow a feed until cancelled, or over: a cancellation may be lost in the driver, see `EventStream`.

        Args:
            feed: The feed.
            begin: Called where it begins at the present, and so may have missed something.
            stop: Ends a pause.
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
                            self._tell(change)
                        backoff.reset()
                        if self._is_over:
                            return
            except (FeedLostError, StoreError) as error:
                wait_s = backoff.next_s()
                log.warning(
                    "Following interrupted", action="web.live.interrupted", error=str(error), wait_s=round(wait_s, 2)
                )
                await pause(wait_s, stop)

    def _begin(self) -> None:
        """Begin at the present: what updates there were before, nobody here knows."""
        self.ring.restart(self._trail.position or "")
        for listener in self._listeners:
            listener.began()

    def _stir(self) -> None:
        """Let everybody look who listens to more than updates: anything may have changed."""
        for listener in self._listeners:
            listener.heard(None)

    def _tell(self, change: Update | Touch) -> None:
        topics = topics_of(change)
        number = None
        if isinstance(change, Update) and (frame := update_frame(change)):
            number = self.ring.add(RingEntry(token=change.token, topics=topics, frame=frame))
        for topic in topics:
            for listener in self._audience.get(topic, ()):
                listener.heard(number)


def make_hub(settings: Settings, database: Database) -> Hub:
    """Make the hub of a web process.

    Args:
        settings: The settings.
        database: The trail's database, open.

    Returns:
        The hub; let it run.
    """
    return Hub(
        TrailFeed(database), console_feeds(Console(database, settings)), retry_max_wait_s=settings.retry_max_wait_s
    )
