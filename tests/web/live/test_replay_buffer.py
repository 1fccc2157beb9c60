"""The buffer of the latest updates holds what it says, and no more than it may."""

from hypothesis import given
from hypothesis import strategies as st

from jobtrail.web.live.replay_buffer import BufferedUpdate, ReplayBuffer

MAX_COUNT, MAX_BYTES = 5, 3000


def token(number: int) -> str:
    return f"{number:04}"


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(min_value=1, max_value=2500)), max_size=20))
def test_it_holds_the_latest_within_its_bounds_and_knows_what_it_holds(updates: list[tuple[str, int]]) -> None:
    buffer = ReplayBuffer(MAX_COUNT, MAX_BYTES)
    assert buffer.after(token(0)) is None  # it has not begun
    buffer.restart(token(0))
    for number, (topic, size) in enumerate(updates):
        assert (
            buffer.add(BufferedUpdate(token=token(number + 1), topics=("all", topic), frame=bytes([number]) * size))
            == number
        )

    held = range(buffer.first, buffer.end)
    assert buffer.end == len(updates)
    assert len(held) <= MAX_COUNT
    assert sum(updates[number][1] for number in held) <= MAX_BYTES or len(held) == 1
    for seen in range(len(updates) + 1):  # whoever has seen so many needs the next one
        assert buffer.after(token(seen)) == (seen if seen >= buffer.first else None)
    for topic in ("all", "a", "b", "c"):
        expected = [bytes([n]) * updates[n][1] for n in held if topic in ("all", updates[n][0])]
        assert buffer.read(buffer.first, topic, 10**6) == (expected, buffer.end)


def test_much_is_read_in_parts() -> None:
    buffer = ReplayBuffer()
    buffer.restart("")
    for number in range(10):
        buffer.add(BufferedUpdate(token=token(number), topics=("all",), frame=bytes([number]) * 100))
    frames, at = [], 0
    while at < buffer.end:
        part, at = buffer.read(at, "all", 250)
        assert len(part) in (3, 1)
        frames += part
    assert frames == [bytes([number]) * 100 for number in range(10)]


def test_after_a_restart_nothing_from_before_is_held_and_the_numbers_go_on() -> None:
    buffer = ReplayBuffer(MAX_COUNT, MAX_BYTES)
    buffer.restart("")
    for number in range(1, 8):
        buffer.add(BufferedUpdate(token=token(number), topics=("all",), frame=b"x"))
    buffer.restart(token(20))
    assert (buffer.first, buffer.end) == (7, 7)
    assert buffer.after(token(7)) is None
    assert buffer.after(token(20)) == 7
    assert buffer.add(BufferedUpdate(token=token(21), topics=("all",), frame=b"y")) == 7
    assert buffer.read(7, "all", 100) == ([b"y"], 8)
