"""What changes in the databases: told in order, and read back from any moment."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from jobtrail.models.dead_letters.dead_letter import LetterFilter
from jobtrail.models.errors import FeedLostError
from jobtrail.models.heartbeat import Heartbeat
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.store.extractors import ExtractorRepository
from jobtrail.store.feed import PORTION_COUNT, Feed, Touch, TrailFeed, Update, console_feeds
from tests.support import WAIT_S
from tests.web.letters import letter, store_letters, store_replay
from tests.web.live.writer import Writer

NOW = datetime.now(UTC)


class Follower:
    """Somebody who follows a feed, and asks for its changes one by one."""

    def __init__(self, changes: AsyncIterator[Update | Touch | None]) -> None:
        self._changes = changes

    async def next(self) -> Update | Touch:
        async with asyncio.timeout(WAIT_S):
            while (change := await anext(self._changes)) is None:
                pass
            return change

    async def messages(self, count: int) -> list[str]:
        return [_message(await self.next()) for _ in range(count)]


@asynccontextmanager
async def following(feed: Feed) -> AsyncIterator[Follower]:
    async with aclosing(feed.follow()) as changes:
        assert await anext(changes) is None
        yield Follower(changes)


def _message(change: Update | Touch) -> str:
    assert isinstance(change, Update), change
    return change.event.update.message


def beat(seconds: int, *, stopping: bool = False, info_json: str = "{}") -> Heartbeat:
    return Heartbeat(
        instance_id="i-1",
        extractor="x",
        version="1",
        received_at=NOW + timedelta(seconds=seconds),
        queue="x",
        owner=None,
        host=None,
        pid=None,
        interval_s=10.0,
        sent_at=None,
        sequence=None,
        stopping=stopping,
        jobs=None,
        info_json=info_json,
    )


async def test_updates_are_told_in_order_and_where_it_was_left_it_goes_on(database: Database, writer: Writer) -> None:
    feed = TrailFeed(database)
    await writer.say("before")
    async with following(feed) as follower:
        await writer.say("1", "2")
        await writer.say("3", job=None)
        assert await follower.messages(2) == ["1", "2"]
    await writer.say("4")
    async with following(feed) as follower:
        third = await follower.next()
        assert isinstance(third, Update)
        assert third.event.update.job_id is None
        assert feed.position == third.token
        assert await follower.messages(1) == ["4"]


async def test_heartbeats_count_only_where_they_tell_something_new(database: Database, writer: Writer) -> None:
    extractors = ExtractorRepository(database)
    async with following(TrailFeed(database)) as follower:
        await extractors.record([beat(0)])
        assert {await follower.next(), await follower.next()} == {Touch(extractor="x")}  # an instance and a version
        await extractors.record([beat(10)])
        await extractors.record([beat(20)])
        await extractors.record([beat(30, stopping=True)])
        assert await follower.next() == Touch(extractor="x")
        await extractors.record([beat(40, stopping=True, info_json='{"new": 1}')])
        assert await follower.next() == Touch(extractor="x")
        await writer.say("afterwards")
        assert await follower.messages(1) == ["afterwards"]


async def test_five_hundred_letters_of_one_cause_are_one_change_of_their_group(
    database: Database, writer: Writer
) -> None:
    async with following(TrailFeed(database)) as follower:
        letters = await store_letters(database, [letter(number) for number in range(500)])
        assert await follower.next() == Touch(cause_id=letters[0].cause_id)
        replay = await store_replay(database, LetterFilter(cause_id=letters[0].cause_id))
        assert await follower.next() == Touch(replay_id=replay.id)
        await writer.say("afterwards")
        assert await follower.messages(1) == ["afterwards"]


async def test_what_another_program_wrote_is_a_change_and_no_update(database: Database, writer: Writer) -> None:
    async with following(TrailFeed(database)) as follower:
        await database.extractions.insert_one({"job_id": "j-1", "status": "half an event"})
        await writer.say("a whole one")
        assert await follower.next() == Touch()
        assert await follower.messages(1) == ["a whole one"]


async def test_datasets_and_notifications_are_told_with_whom_they_are_about(
    database: Database, console: Console
) -> None:
    histories, batch_jobs = console_feeds(console)
    async with following(histories) as follower:
        await console.histories.insert_one({"_id": 1, "dataset_id": 7, "answers": {"api": {}}})
        await console.histories.update_one({"_id": 1}, {"$set": {"status": "Failed"}})
        await console.groups.insert_one({"name": "nobody looks at groups"})
        await console.creation_logs.insert_one({"dataset_id": "d-2"})
        await console.notifications.insert_one({"_id": "d-3:Failed:ann", "dataset_id": "d-3", "user_id": "ann"})
        await console.notifications.update_one({"user_id": "ann"}, {"$set": {"read_at": NOW}})
        told = [await follower.next() for _ in range(5)]
    assert told == [
        *[Touch(dataset_id="7")] * 2,
        Touch(dataset_id="d-2"),
        *[Touch(dataset_id="d-3", user_id="ann")] * 2,
    ]
    async with following(batch_jobs) as follower:
        await console.batch_jobs.insert_one({"dataset_id": "d-4", "status": "Pending"})
        assert await follower.next() == Touch(dataset_id="d-4")
    async with following(TrailFeed(database)) as follower:
        await database.outbox.insert_one({"_id": "k", "dataset_id": "d-5", "user_id": "ann", "body": {"type": "news"}})  # type: ignore[dict-item]
        assert await follower.next() == Touch(dataset_id="d-5")


async def test_from_every_token_exactly_the_rest_is_read_back(database: Database, writer: Writer) -> None:
    feed = TrailFeed(database)
    async with following(feed) as follower:
        begin = feed.position or ""
        # Of a transaction with many updates all have the same time.
        await writer.store(*((f"j-{n % 3}", f"f-{n % 2}", str(n)) for n in range(12)))
        await writer.say("12", "13", job=None)
        updates = [await follower.next() for _ in range(14)]
    tokens = [begin, *(update.token for update in updates if isinstance(update, Update))]
    assert tokens == sorted(tokens)
    kinds: list[tuple[dict[str, str], Iterable[int]]] = [
        ({}, range(14)),
        ({"job_id": "j-1"}, range(1, 12, 3)),
        ({"resource_id": "f-1"}, [*range(1, 12, 2), 12, 13]),
    ]
    for count, token in enumerate(tokens):
        for wanted, numbers in kinds:
            portion = await feed.read_back(token, **wanted)
            read = [int(update.event.update.message) for update in portion.updates]
            assert read == [number for number in numbers if number >= count], (count, wanted)
            assert portion.position >= token


async def test_much_is_read_back_in_portions(database: Database, writer: Writer) -> None:
    feed = TrailFeed(database)
    async with following(feed):
        begin = feed.position or ""
    await writer.say(*map(str, range(PORTION_COUNT + 10)))
    await writer.say(*("x" * 200_000 for _ in range(3)))
    sizes, position = [], begin
    while portion := await feed.read_back(position):
        if not portion.updates:
            break
        sizes.append(len(portion.updates))
        position = portion.position
    assert sizes == [PORTION_COUNT, 12, 1]  # two long ones are more than enough


@pytest.mark.parametrize("text", ["", "82", "zz", "82" + "0" * 15 + "g" * 20, "81" + "0" * 40, "82" + "0" * 5000])
async def test_from_what_is_no_token_nothing_is_read_back(database: Database, text: str) -> None:
    with pytest.raises(FeedLostError):
        await TrailFeed(database).read_back(text)


async def test_a_dropped_database_loses_the_feed_which_then_begins_anew(database: Database, writer: Writer) -> None:
    feed = TrailFeed(database)
    async with following(feed) as follower:
        await database.client.drop_database(database.name)
        with pytest.raises(FeedLostError):
            await follower.next()
    assert feed.position is None
    async with following(feed) as follower:
        await database.jobs.insert_one({"_id": "j"})  # type: ignore[dict-item]
        await database.extractors.insert_one({"name": "x"})
        assert await follower.next() == Touch(extractor="x")
