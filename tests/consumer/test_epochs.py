"""A stream that is not what it was: deleted and made anew, cut short, or overtaken by retention."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobtrail.consumer import resume
from jobtrail.deadletters.accounting import audit
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from tests.consumer.conftest import Bench, consuming
from tests.consumer.updates import update
from tests.support import eventually_async


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is shorter is looked at several times before that is believed."""
    monkeypatch.setattr(resume, "_FIRST_WAIT_S", 0.5)


@pytest.fixture
def stream(bench: Bench) -> Iterator[Bench]:
    """A bench whose stream exists."""
    assert bench.channel
    yield bench


def words(*numbers: int) -> list[bytes]:
    return [update("j", "processing", f"update {number}") for number in numbers]


def stored(bench: Bench) -> list[int]:
    return [int(message.split()[1]) for message in bench.messages()]


def make_anew(bench: Bench, *numbers: int) -> None:
    """Delete the stream and fill a new one of the same name, as nobody would tell us."""
    bench.channel.queue_delete(bench.settings.reply_stream)
    bench.disconnect()
    bench.publish(*words(*numbers))


async def consume_until(bench: Bench, settings: Settings, expected: list[int]) -> None:
    async with consuming(settings):
        await eventually_async(lambda: asyncio.to_thread(lambda: stored(bench) == expected))


def incidents(bench: Bench) -> list[dict[str, Any]]:
    return list(bench.database["incidents"].find().sort("at", 1))


@pytest.mark.parametrize(
    ("before", "after"),
    [(3, range(10, 12)), (3, range(10, 13)), (3, range(10, 20)), (50, range(100, 101)), (100, range(200, 400))],
    ids=["shorter", "as long", "longer", "much shorter", "much longer"],
)
async def test_a_stream_that_was_deleted_and_made_anew_is_read_from_its_begin(
    stream: Bench, settings: Settings, before: int, after: range
) -> None:
    stream.publish(*words(*range(before)))
    await consume_until(stream, settings, [*range(before)])
    await asyncio.to_thread(make_anew, stream, *after)
    await consume_until(stream, settings, [*range(before), *after])

    (incident,) = incidents(stream)
    assert (incident["kind"], incident["epoch"], incident["seq"]) == ("recreated", 2, before)
    assert [event["seq"] for event in stream.events()] == list(range(1, before + len(after) + 1))


@pytest.mark.parametrize(("kept", "new"), [(99, 0), (90, 5), (70, 0), (70, 200), (3, 0), (3, 5)])
async def test_a_stream_that_lost_its_end_is_read_on_behind_what_it_kept(
    stream: Bench, settings: Settings, kept: int, new: int
) -> None:
    stream.publish(*words(*range(100)))
    await consume_until(stream, settings, [*range(100)])
    more = range(1000, 1000 + new)
    await asyncio.to_thread(make_anew, stream, *range(kept), *more)
    async with consuming(settings):
        await eventually_async(lambda: asyncio.to_thread(lambda: bool(incidents(stream))))
        last = words(5000)
        await asyncio.to_thread(stream.publish, *last)
        await eventually_async(lambda: asyncio.to_thread(lambda: stored(stream) == [*range(100), *more, 5000]))

    (incident,) = incidents(stream)
    assert (incident["kind"], incident["epoch"]) == ("cut", 2)


async def test_a_stream_that_is_empty_after_it_held_something_is_waited_for(stream: Bench, settings: Settings) -> None:
    stream.publish(*words(1, 2, 3))
    await consume_until(stream, settings, [1, 2, 3])
    await asyncio.to_thread(make_anew, stream)
    async with consuming(settings):
        await asyncio.sleep(1)  # it is empty for a while: that is the test
        await asyncio.to_thread(stream.publish, *words(4))
        await eventually_async(lambda: asyncio.to_thread(lambda: stored(stream) == [1, 2, 3, 4]))

    assert [incident["kind"] for incident in incidents(stream)] == ["recreated"]


async def test_retention_that_overtakes_the_position_is_told_with_the_offsets_that_are_missing(
    stream: Bench, settings: Settings
) -> None:
    small = {"x-queue-type": "stream", "x-max-length-bytes": 40_000, "x-stream-max-segment-size-bytes": 20_000}
    stream.channel.queue_delete(settings.reply_stream)
    stream.channel.queue_declare(settings.reply_stream, durable=True, arguments=small)
    stream.publish(*words(*range(20)))
    await consume_until(stream, settings, [*range(20)])
    await asyncio.to_thread(stream.publish, *words(*range(20, 1000)))
    async with consuming(settings):
        await eventually_async(lambda: asyncio.to_thread(lambda: bool(stored(stream)) and stored(stream)[-1] == 999))

    (incident,) = incidents(stream)
    left = stored(stream)[20:]
    assert left == list(range(left[0], 1000))
    assert incident["kind"] == "overtaken"
    assert incident["from_offset"] == 20
    assert incident["missing"] == incident["to_offset"] - 20 + 1
    assert f"up to {incident['missing']:,} updates" in incident["detail"]
    # The broker takes an offset for itself in each segment, and these hold 30 updates at the least.
    assert 0 < left[0] - 20 <= incident["missing"] <= (left[0] - 20) * 31 // 30


async def test_offsets_that_the_broker_takes_for_itself_are_no_loss(stream: Bench, settings: Settings) -> None:
    small = {"x-queue-type": "stream", "x-stream-max-segment-size-bytes": 20_000}
    stream.channel.queue_delete(settings.reply_stream)
    stream.channel.queue_declare(settings.reply_stream, durable=True, arguments=small)
    stream.publish(*words(*range(500)))
    await consume_until(stream, settings, [*range(500)])
    await asyncio.to_thread(stream.publish, *words(*range(500, 1000)))
    await consume_until(stream, settings, [*range(1000)])

    assert incidents(stream) == []
    unused = stream.database["stream_holes"].count_documents({})
    assert unused > 10
    assert stream.events()[-1]["seq"] == 1000 + unused
    async with Database(settings.require_mongo_url(), settings.database) as database:
        assert (await audit(settings, database, datetime.now(UTC) - timedelta(hours=1))).wrong == 0


async def test_a_stream_whose_begin_was_removed_before_anybody_read_it_is_told_too(
    stream: Bench, settings: Settings
) -> None:
    small = {"x-queue-type": "stream", "x-max-length-bytes": 40_000, "x-stream-max-segment-size-bytes": 20_000}
    stream.channel.queue_delete(settings.reply_stream)
    stream.channel.queue_declare(settings.reply_stream, durable=True, arguments=small)
    stream.publish(*words(*range(1000)))
    async with consuming(settings):
        await eventually_async(lambda: asyncio.to_thread(lambda: bool(stored(stream)) and stored(stream)[-1] == 999))

    (incident,) = incidents(stream)
    assert (incident["kind"], incident["from_offset"]) == ("overtaken", 0)
    assert stored(stream)[0] <= incident["missing"] <= stored(stream)[0] * 31 // 30
