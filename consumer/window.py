"""The run of deliveries that the broker still counts as unacknowledged, and how redelivered ones are recognised.

pyClowder's messages carry no id, and equal bytes may be different events, so a redelivered message can't be told by
its content alone. What holds (tried on RabbitMQ 3.10, classic and quorum queues with a single active consumer):
everything unacknowledged comes back in its original order, as one run at the head of the queue, flagged as
redelivered. So it is enough to know where that run begins.

Acknowledgements have no answer: after a crash nobody knows which of the last ones arrived. Therefore the consumer
never acknowledges everything it stored: the last stored delivery, the *anchor*, stays unacknowledged until the next
batch is stored, and an anchor's fingerprint differs from those of all recent anchors. Whichever acknowledgements
arrived, the run then begins with exactly one of the anchors, and its first message tells which. See
docs/decisions/0003-messages-without-id.md.
"""

from collections import deque
from collections.abc import Sequence

from models.delivery import Position
from models.settings import MAX_PREFETCH


class Window:
    """Numbers the deliveries of one channel and decides what may be acknowledged.

    Args:
        position: How far the queue had been stored when the channel was opened.
        limit: Unacknowledged deliveries the broker may hand out (its prefetch count).
    """

    def __init__(self, position: Position, *, limit: int) -> None:
        self._limit = limit
        self._stored_seq = position.last_seq
        self._next_seq = position.last_seq + 1
        self._known = list(position.fingerprints)
        self._first_known = position.last_seq - len(self._known) + 1
        self._anchors: dict[bytes, int] = {}
        self._pending_anchor: int | None = None
        for anchor in position.anchors:
            self._note_anchor(anchor)
        self._head = position.anchors[-1]
        self._tags: deque[tuple[int, int]] = deque()
        self._expected: int | None = None
        self._aligning = True
        self._confirmed = False
        self._fresh = False

    @property
    def unacknowledged(self) -> int:
        """Deliveries of this channel that are not acknowledged yet."""
        return len(self._tags)

    @property
    def stored_seq(self) -> int:
        """Number of the last stored delivery."""
        return self._stored_seq

    @property
    def head(self) -> int:
        """Number of the first delivery that is not acknowledged, once the acknowledgements sent have arrived."""
        return self._head

    @property
    def all_acknowledged(self) -> bool:
        """Whether everything stored has been acknowledged too."""
        return self._head > self._stored_seq

    def place(self, fingerprint: bytes, *, redelivered: bool, tag: int) -> int | None:
        """Number one delivery; must be called for each, in order.

        Args:
            fingerprint: The delivery's fingerprint.
            redelivered: The broker's flag.
            tag: Its delivery tag.

        Returns:
            Its number if it is new; None if it had been stored before this channel was opened.
        """
        seq = self._align(fingerprint, redelivered=redelivered) if self._aligning else None
        if seq is not None:
            self._tags.append((seq, tag))
            return None
        self._aligning = False
        seq = self._next_seq
        self._next_seq += 1
        self._tags.append((seq, tag))
        return seq

    def confirm(self) -> None:
        """Take note that all acknowledgements sent so far have arrived: the run can only begin at the head now."""
        self._anchors = {mark: seq for mark, seq in self._anchors.items() if seq == self._head}
        self._confirmed = self._fresh = True

    def choose_anchor(self, first_seq: int, fingerprints: Sequence[bytes]) -> int | None:
        """Choose which delivery stays unacknowledged once a batch is stored.

        Args:
            first_seq: Number of the batch's first delivery.
            fingerprints: Those of the batch's deliveries.

        Returns:
            The anchor's number: the batch's last delivery whose fingerprint is not that of a possible anchor. If all
            are, None, as long as `confirm` can lessen the possible ones; after that the head stays where it is. When
            the prefetch window is about to fill with equal messages, the batch's last one: rather than stand still,
            the consumer then trusts that the acknowledgement it is about to send will arrive.
        """
        last_seq = first_seq + len(fingerprints) - 1
        self._forget_anchors(before_seq=last_seq - MAX_PREFETCH)
        taken = set(self._anchors)
        if self._pending_anchor is not None and first_seq <= self._pending_anchor <= last_seq:
            taken.add(fingerprints[self._pending_anchor - first_seq])
        for seq in range(last_seq, first_seq - 1, -1):
            if fingerprints[seq - first_seq] not in taken:
                return seq
        if not self._confirmed:
            return None
        return last_seq if 2 * (last_seq - self._head + 1) >= self._limit else self._head

    def anchors_with(self, anchor: int) -> tuple[Sequence[int], bool]:
        """Tell what to store of the anchors together with a batch.

        Args:
            anchor: The batch's anchor.

        Returns:
            The numbers at which the run may begin from now on, oldest first, and whether all anchors stored earlier
            count no more.
        """
        return ((self._head, anchor), True) if self._fresh else ((anchor,), False)

    def stored(self, first_seq: int, fingerprints: Sequence[bytes], anchor: int) -> int | None:
        """Take note that a batch is stored.

        Args:
            first_seq: Number of the batch's first delivery.
            fingerprints: Those of the batch's deliveries.
            anchor: What `choose_anchor` returned for it.

        Returns:
            The delivery tag up to which everything may be acknowledged now; None for nothing.
        """
        self._stored_seq = first_seq + len(fingerprints) - 1
        self._fresh = False
        self._known.extend(fingerprints)
        if len(self._known) > 2 * MAX_PREFETCH:
            del self._known[:-MAX_PREFETCH]
        self._first_known = self._stored_seq - len(self._known) + 1
        if self._pending_anchor is not None:
            self._note_anchor(self._pending_anchor)
        if anchor != self._head:
            self._note_anchor(anchor)
            self._head = anchor
        return self._release(before_seq=anchor)

    def release_all(self) -> int | None:
        """Take note that everything delivered and stored is about to be acknowledged, for lack of other work.

        The caller stores `head` as a further anchor afterwards.

        Returns:
            The delivery tag up to which to acknowledge; None if nothing is unacknowledged.
        """
        if not self._tags:
            return None
        still_to_come = self._expected if self._aligning else None
        self._head = self._stored_seq + 1 if still_to_come is None else still_to_come
        self._note_anchor(self._head)
        return self._release(before_seq=self._head)

    def _align(self, fingerprint: bytes, *, redelivered: bool) -> int | None:
        """Return the number of a delivery that had been stored, None for the first one that had not."""
        if self._expected is None:
            start = self._find(fingerprint) if redelivered else None
            self._begin(self._stored_seq + 1 if start is None else start)
        if not redelivered or self._expected is None or self._expected > self._stored_seq:
            return None
        if self._known[self._expected - self._first_known] != fingerprint:
            return None
        self._expected += 1
        return self._expected - 1

    def _begin(self, head: int) -> None:
        """Now it is known where the run begins: there, and nowhere else."""
        self._expected = self._head = head
        self._anchors.clear()
        self._note_anchor(head)
        self._confirmed = self._fresh = True

    def _find(self, fingerprint: bytes) -> int | None:
        anchor = self._anchors.get(fingerprint)
        if anchor is not None:
            return anchor
        if self._head > self._stored_seq:
            return None
        # No anchor: a broker that crashed may have lost some acknowledgements of a batch. The latest equal delivery
        # is the cautious guess.
        for index in range(len(self._known) - 1, -1, -1):
            if self._known[index] == fingerprint:
                return self._first_known + index
        return None

    def _note_anchor(self, seq: int) -> None:
        if seq > self._stored_seq:
            self._pending_anchor = seq
            return
        if self._pending_anchor == seq:
            self._pending_anchor = None
        if seq >= self._first_known:
            self._anchors[self._known[seq - self._first_known]] = seq

    def _forget_anchors(self, before_seq: int) -> None:
        if self._anchors and min(self._anchors.values()) < before_seq:
            self._anchors = {mark: seq for mark, seq in self._anchors.items() if seq >= before_seq}

    def _release(self, before_seq: int) -> int | None:
        tag = None
        while self._tags and self._tags[0][0] < before_seq:
            tag = self._tags.popleft()[1]
            self._confirmed = False
        return tag
