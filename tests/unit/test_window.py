"""The alignment of redelivered messages, against a model of a broker and a consumer that is killed at any moment."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.window import Window
from models.delivery import Position
from models.settings import MAX_PREFETCH


@dataclass
class Link:
    last_seq: int
    marks: list[bytes]
    anchors: list[int]
    fresh: bool


@dataclass
class Chain:
    """What the database holds: the stored messages and the links, as `store.trail` keeps them."""

    stored: list[int] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    def position(self) -> Position:
        marks: list[bytes] = []
        anchors: list[int] = []
        fresh = False
        for link in reversed(self.links):
            marks[:0] = link.marks
            if not fresh:
                anchors[:0] = link.anchors
                fresh = link.fresh
        if not self.links:
            return Position()
        return Position(
            last_seq=self.links[-1].last_seq,
            anchors=anchors if fresh else [1, *anchors],
            fingerprints=marks[-MAX_PREFETCH:],
        )


@dataclass
class Broker:
    """A queue with one active consumer: unacknowledged messages come back in order, flagged, at the head."""

    messages: Sequence[bytes]
    prefetch: int
    head: int = 0
    delivered: int = 0
    """Messages before this index have been delivered at least once."""

    def connect(self) -> "Channel":
        return Channel(self, at=self.head)


@dataclass
class Channel:
    broker: Broker
    at: int
    tag: int = 0
    tags: deque[tuple[int, int]] = field(default_factory=deque)

    def deliver(self) -> tuple[int, bytes, bool, int] | None:
        """Hand out the next message: its index, its bytes, the redelivered flag and the tag."""
        broker = self.broker
        if self.at >= len(broker.messages) or len(self.tags) >= broker.prefetch:
            return None
        index, self.at, self.tag = self.at, self.at + 1, self.tag + 1
        redelivered = index < broker.delivered
        broker.delivered = max(broker.delivered, self.at)
        self.tags.append((self.tag, index))
        return index, broker.messages[index], redelivered, self.tag

    def acknowledge(self, tag: int) -> None:
        while self.tags and self.tags[0][0] <= tag:
            self.broker.head = self.tags.popleft()[1] + 1


class KilledError(Exception):
    """The consumer was killed here."""


@dataclass
class Consumer:
    """The steps of `consumer.session` without I/O; `dice` decides what happens next."""

    broker: Broker
    chain: Chain
    dice: st.DataObject

    def run(self, *, may_die: bool) -> None:
        channel = self.broker.connect()
        waiting: deque[tuple[int, bytes, bool, int]] = deque()
        on_the_way: list[int] = []
        window: Window | None = None

        def risk() -> None:
            if may_die and self.dice.draw(st.integers(0, 5), label="killed") == 0:
                arrived = self.dice.draw(st.integers(0, len(on_the_way)), label="acknowledgements that arrived")
                for tag in on_the_way[:arrived]:
                    channel.acknowledge(tag)
                raise KilledError

        def flush() -> None:
            while on_the_way:
                channel.acknowledge(on_the_way.pop(0))

        def fill() -> None:
            while (delivery := channel.deliver()) is not None:
                waiting.append(delivery)

        while self.broker.head < len(self.broker.messages):
            if self.dice.draw(st.booleans(), label="acknowledgements arrive now"):
                flush()
            fill()
            if not waiting:
                flush()
                fill()
            risk()
            if not waiting:
                assert window is not None
                tag = window.release_all()
                assert tag is not None, "stuck: nothing waits and nothing can be acknowledged"
                on_the_way.append(tag)
                flush()
                self.chain.links[-1].anchors.append(window.head)
                if window.all_acknowledged and self.dice.draw(st.booleans(), label="settled"):
                    self.chain.links[-1].anchors[:] = [window.head]
                    self.chain.links[-1].fresh = True
                    window.confirm()
                continue
            if window is None:
                window = Window(self.chain.position(), limit=self.broker.prefetch)
            count = self.dice.draw(st.integers(1, len(waiting)), label="batch")
            new: list[tuple[int, int, bytes]] = []
            for _ in range(count):
                index, mark, redelivered, tag = waiting.popleft()
                seq = window.place(mark, redelivered=redelivered, tag=tag)
                if seq is not None:
                    new.append((seq, index, mark))
            if not new:
                continue
            marks = [mark for _seq, _index, mark in new]
            anchor = window.choose_anchor(new[0][0], marks)
            if anchor is None:
                flush()
                window.confirm()
                anchor = window.choose_anchor(new[0][0], marks)
            assert anchor is not None
            anchors, fresh = window.anchors_with(anchor)
            risk()
            self.chain.stored.extend(index for _seq, index, _mark in new)
            self.chain.links.append(Link(new[-1][0], marks, list(anchors), fresh))
            release = window.stored(new[0][0], marks, anchor)
            if release is not None:
                on_the_way.append(release)
            risk()


def consume(messages: Sequence[bytes], prefetch: int, dice: st.DataObject) -> Chain:
    broker, chain = Broker(messages, prefetch), Chain()
    for life in range(100):
        try:
            Consumer(broker, chain, dice).run(may_die=life < 12)
        except KilledError:
            continue
        break
    return chain


def streams(alphabet: int, max_size: int, *, unique: bool) -> st.SearchStrategy[list[bytes]]:
    letters = st.integers(0, alphabet - 1).map(lambda letter: bytes([letter]) * 8)
    return st.lists(letters, min_size=1, max_size=max_size, unique=unique)


@settings(max_examples=300, deadline=None)
@given(messages=streams(50, 40, unique=True), prefetch=st.integers(2, 12), dice=st.data())
def test_a_stream_of_different_messages_is_stored_once_and_in_order_however_often_the_consumer_is_killed(
    messages: list[bytes], prefetch: int, dice: st.DataObject
) -> None:
    assert consume(messages, prefetch, dice).stored == list(range(len(messages)))


@settings(max_examples=300, deadline=None)
@given(messages=streams(2, 24, unique=False), dice=st.data())
def test_byte_identical_messages_are_all_kept_as_long_as_a_run_of_them_fits_into_half_the_prefetch_window(
    messages: list[bytes], dice: st.DataObject
) -> None:
    assert consume(messages, 2 * 24 + 2, dice).stored == list(range(len(messages)))
