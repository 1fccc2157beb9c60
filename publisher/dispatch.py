"""Decides which spooled updates may be published now, so that each reply queue gets its updates in order.

Shared by the pika and the aio-pika sender. Each reply queue is a lane. A lane starts with one update as a probe; once
the broker has routed and confirmed that, a window of updates is in flight at a time. When the broker returns an update
(no such queue) or refuses it, the lane waits for the rest of its window, rests, and then goes on from its oldest
update, again with a probe: so none of a later window overtakes the one that came back (of the same window some may
have found room before it). Other lanes go on meanwhile.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jobtrail.publisher.outgoing import Spooled
from jobtrail.publisher.spool.ledger import SpoolLedger
from jobtrail.runtime.backoff import Backoff

logger = logging.getLogger(__name__)

WINDOW = 512
"""Updates of one lane in flight at the most."""
DELETE_AT = 128
"""Confirmed updates are deleted from the spool this many at a time while more are in flight."""

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
class _Lane:
    cursor: int = 0
    """Row id of the latest update handed out."""
    in_flight: int = 0
    routable: bool = False
    """The broker has routed an update of this lane lately, so that a whole window may follow."""
    settling: bool = False
    """One came back; nothing more goes out until the others in flight have been answered."""
    resting_until: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(0.5, 30.0))


class Dispatch:
    """Not thread-safe: it belongs to the one sender.

    Args:
        ledger: Whose spool is sent.
        clock: Seconds that only go forward.
    """

    def __init__(self, ledger: SpoolLedger, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}
        self._confirmed: list[int] = []
        self._in_flight = 0
        self._complained: set[str] = set()
        self.resting: tuple[str, ...] = ()
        """The reply queues that take no updates at the moment; replaced as a whole, so any thread may read it."""

    def connected(self) -> None:
        """Start over on a new connection: everything that is still in the spool is to be sent."""
        self._flush_confirmed()
        self._in_flight = 0
        self._ledger.fresh_keys()
        self._lanes = {key: _Lane() for key in self._ledger.spool.routing_keys()}
        self.resting = ()

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
            self._lanes.setdefault(key, _Lane())
        now = self._clock()
        batch: list[Spooled] = []
        for key, lane in list(self._lanes.items()):
            batch += self._next_of(key, lane, now)
        self.resting = tuple(key for key, lane in self._lanes.items() if lane.resting_until > now)
        return batch

    def retry_in_s(self) -> float | None:
        """Return after how many seconds a resting lane is to be tried again; None when none rests."""
        waits = [lane.resting_until for lane in self._lanes.values() if lane.resting_until]
        return max(0.0, min(waits) - self._clock()) if waits else None

    def all_sent(self) -> bool:
        """Tell whether nothing is left in the spool but updates of resting lanes. Any thread may ask."""
        left = len(self._ledger.spool)
        return left == 0 or left <= self._ledger.spool.count_for(self.resting)

    def _settle(self, outcome: PublishOutcome) -> None:
        key = outcome.spooled.update.routing_key
        lane = self._lanes[key]
        lane.in_flight -= 1
        self._in_flight -= 1
        if outcome.delivered:
            self._confirmed.append(outcome.spooled.row_id)
            if not lane.settling:
                lane.routable = True
                lane.backoff.reset()
                self._complained.discard(key)
        else:
            lane.settling = True
            self._complain(key)
        if lane.settling and lane.in_flight == 0:
            self._flush_confirmed()
            lane.settling = lane.routable = False
            lane.cursor = 0
            lane.resting_until = self._clock() + lane.backoff.next_s()

    def _complain(self, key: str) -> None:
        if key not in self._complained:
            self._complained.add(key)
            logger.warning(
                "Reply queue %r takes no updates; they wait in the spool until it does",
                key,
                extra={"action": "publisher.unroutable"},
            )

    def _next_of(self, key: str, lane: _Lane, now: float) -> list[Spooled]:
        if lane.settling or lane.resting_until > now:
            return []
        lane.resting_until = 0.0
        room = (WINDOW if lane.routable else 1) - lane.in_flight
        # A few big reads of the spool are cheaper than many small ones.
        if room < 1 or (lane.routable and room < WINDOW // 4):
            return []
        batch = self._ledger.spool.take(key, lane.cursor, room)
        if batch:
            lane.cursor = batch[-1].row_id
            lane.in_flight += len(batch)
            self._in_flight += len(batch)
        elif lane.in_flight == 0:
            del self._lanes[key]  # it comes back with its next update
        return batch

    def _flush_confirmed(self) -> None:
        if self._confirmed:
            self._ledger.spool.delete(self._confirmed)
            self._confirmed = []
