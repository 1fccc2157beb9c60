"""Decides which spooled updates may be published now, so that each reply queue gets its updates in order.

Shared by the pika and the aio-pika sender. Each reply queue has its own route, which starts with one update as a probe;
once the broker has routed and confirmed that, a window of updates is in flight at a time. When the broker returns an
update (no such queue) or refuses it, the route waits for the rest of its window, rests, and then goes on from its
oldest update, again with a probe: so none of a later window overtakes the one that came back (of the same window some
may have found room before it). Other routes go on meanwhile.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jobtrail.broker.errors import plain_words
from jobtrail.publisher.outgoing import Spooled
from jobtrail.publisher.spool.ledger import SpoolLedger
from jobtrail.runtime.backoff import Backoff

logger = logging.getLogger(__name__)

WINDOW = 512
"""Updates of one route in flight at most."""
DELETE_AT = 128
"""Confirmed updates are deleted from the spool this many at a time while more are in flight."""

ADOPT_INTERVAL_S = 30.0
"""How often an open connection looks for spools that dead processes left behind."""
CONFIRM_TIMEOUT_S = 20.0
"""Seconds without an answer after which an update that was sent is sent again over another connection. RabbitMQ 3.10
seems to swallow what it gets for a stream that it is just bringing back after a kill. Receivers know repeats by their
id."""


@dataclass(slots=True, frozen=True)
class PublishOutcome:
    """What the broker said to one update."""

    spooled: Spooled
    delivered: bool
    """False: returned as unroutable, or refused."""


@dataclass(slots=True)
class _Route:
    cursor: int = 0
    """Row id of the latest update handed out."""
    in_flight: int = 0
    routable: bool = False
    """The broker has routed an update of this route lately, so that a whole window may follow."""
    settling: bool = False
    """One came back; nothing more goes out until the others in flight have been answered."""
    resting_until: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(0.5, 30.0))


class Dispatch:
    """What a sender does next, and what it says of the broker. Not thread-safe: it belongs to the one sender.

    Args:
        ledger: Whose spool is sent.
        clock: Seconds that only go forward.
    """

    def __init__(self, ledger: SpoolLedger, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._routes: dict[str, _Route] = {}
        self._confirmed: list[int] = []
        self._in_flight = 0
        self._is_disconnected = False
        """Whether it was said that the broker is away."""
        self._complained: set[str] = set()
        self.resting: tuple[str, ...] = ()
        """The reply queues that take no updates at the moment; replaced as a whole, so any thread may read it."""

    def connected(self) -> None:
        """Start over on a new connection: everything that is still in the spool is to be sent."""
        self._flush_confirmed()
        self._in_flight = 0
        self._ledger.fresh_keys()
        self._routes = {key: _Route() for key in self._ledger.spool.routing_keys()}
        self.resting = ()
        if self._is_disconnected:
            self._is_disconnected = False
            logger.info("RabbitMQ is back", extra={"action": "publisher.connected"})

    def disconnected(self, reason: BaseException) -> None:
        """Say once per outage that the broker is away.

        Args:
            reason: The driver's error.
        """
        if not self._is_disconnected:
            self._is_disconnected = True
            logger.warning(
                "RabbitMQ cannot be reached, updates wait in the spool: %s",
                plain_words(reason),
                extra={"action": "publisher.disconnected"},
            )

    def step(self, outcomes: Sequence[PublishOutcome]) -> list[Spooled]:
        """Take the broker's answers in, and hand the next updates out.

        Args:
            outcomes: The answers since the last call.

        Returns:
            The updates to publish now, in this order; each needs an outcome later.

        Raises:
            sqlite3.Error: The spool can't be read.
        """
        for outcome in outcomes:
            self._settle(outcome)
        if len(self._confirmed) >= DELETE_AT or not self._in_flight:
            self._flush_confirmed()
        for key in self._ledger.fresh_keys():
            self._routes.setdefault(key, _Route())
        now = self._clock()
        batch: list[Spooled] = []
        for key, route in list(self._routes.items()):
            batch += self._next_of(key, route, now)
        self.resting = tuple(key for key, route in self._routes.items() if route.resting_until > now)
        return batch

    def retry_in_s(self) -> float | None:
        """Return after how many seconds a resting route is to be tried again; None when none rests."""
        waits = [route.resting_until for route in self._routes.values() if route.resting_until]
        return max(0.0, min(waits) - self._clock()) if waits else None

    def all_sent(self) -> bool:
        """Tell whether nothing is left in the spool but updates of resting routes. Any thread may ask."""
        left = len(self._ledger.spool)
        return left == 0 or left <= self._ledger.spool.count_for(self.resting)

    def _settle(self, outcome: PublishOutcome) -> None:
        key = outcome.spooled.update.routing_key
        route = self._routes[key]
        route.in_flight -= 1
        self._in_flight -= 1
        if outcome.delivered:
            self._confirmed.append(outcome.spooled.row_id)
            if not route.settling:
                route.routable = True
                route.backoff.reset()
                self._complained.discard(key)
        else:
            route.settling = True
            self._complain(key)
        if route.settling and route.in_flight == 0:
            self._flush_confirmed()
            route.settling = route.routable = False
            route.cursor = 0
            route.resting_until = self._clock() + route.backoff.next_s()

    def _complain(self, key: str) -> None:
        if key not in self._complained:
            self._complained.add(key)
            logger.warning(
                "Reply queue %r takes no updates; they wait in the spool until it does",
                key,
                extra={"action": "publisher.unroutable"},
            )

    def _next_of(self, key: str, route: _Route, now: float) -> list[Spooled]:
        if route.settling or route.resting_until > now:
            return []
        route.resting_until = 0.0
        room = (WINDOW if route.routable else 1) - route.in_flight
        # A few big reads of the spool are cheaper than many small ones.
        if room < 1 or (route.routable and room < WINDOW // 4):
            return []
        batch = self._ledger.spool.take(key, route.cursor, room)
        if batch:
            route.cursor = batch[-1].row_id
            route.in_flight += len(batch)
            self._in_flight += len(batch)
        elif route.in_flight == 0:
            del self._routes[key]  # it comes back with its next update
        return batch

    def _flush_confirmed(self) -> None:
        if self._confirmed:
            self._ledger.spool.delete(self._confirmed)
            self._confirmed = []
