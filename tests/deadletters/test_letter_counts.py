"""Groups and replays count their letters, and no sequence of acts makes a count wrong."""

import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from jobtrail.deadletters.letter_maker import fingerprint
from jobtrail.deadletters.reading import caused
from jobtrail.models.dead_letters.dead_letter import LetterFilter, LetterState, Sending
from jobtrail.models.dead_letters.replay import Replay, ReplayState
from jobtrail.models.errors import BusyError, NotFoundError
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.capture import CapturedLetter, LetterTrail
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.dead_letters.replayed import Settlement
from jobtrail.store.dead_letters.replays import ReplayRepository
from tests.deadletters.conftest import LetterBench, read

AT = datetime(2026, 11, 22, 0, 14, 36, tzinfo=UTC)


class Acts:
    """Random acts on letters, as operators, replays and the services do them."""

    def __init__(self, database: Database, random: random.Random) -> None:
        self.database = database
        self.random = random
        self.letters = LetterRepository(database)
        self.replays = ReplayRepository(database)
        self.trail = self.new_trail()
        self.running: list[tuple[Replay, str]] = []
        self.ended: list[Replay] = []
        self.seq = 0

    def new_trail(self) -> LetterTrail:
        return LetterTrail(self.database, "q", fingerprint)

    async def act(self) -> None:
        acts = [
            self.capture,
            self.succeed,
            self.discard,
            self.restore,
            self.expire,
            self.start,
            *[self.send] * 3,
            *[self.settle] * 3,
            *[self.return_one] * 3,
            self.end,
        ]
        await self.random.choice(acts)()

    async def capture(self, parent: Mapping[str, Any] | None = None, sent_by: str | None = None) -> None:
        count = 1 if parent else self.random.randrange(1, 8)
        captured = []
        for _ in range(count):
            letter = read(b"x", b"", "q")
            caused(letter, error=self.random.choice(["one cause", "another"]))
            letter.parent = str(parent["_id"]) if parent else None
            letter.sent_by = sent_by
            letter.fingerprint = fingerprint(letter.body, letter.properties)
            captured.append(CapturedLetter(letter=letter, redelivered=self.random.random() < 0.3))
        await self.trail.store(captured)
        self.seq += count

    async def succeed(self) -> None:
        await self.trail.close()
        self.trail = self.new_trail()
        await self.trail.take_over()

    async def some(self) -> LetterFilter:
        documents = await self.database.collection("dead_letters").find({}, {"_id": 1}).to_list()
        ids = [str(document["_id"]) for document in documents]
        return LetterFilter(ids=self.random.sample(ids, min(len(ids), self.random.randrange(1, 6))))

    async def discard(self) -> None:
        await self.letters.discard(await self.some(), "no use")

    async def restore(self) -> None:
        await self.letters.restore(await self.some())

    async def expire(self) -> None:
        if self.random.random() < 0.2:
            await self.letters.expire(datetime.now(UTC) + timedelta(days=1))

    async def start(self) -> None:
        asked = Replay(
            id=f"r{self.seq}-{self.random.randrange(10**9)}",
            selection=await self.some(),
            target=self.random.choice([None, "other"]),
            rate=None,
            staged=False,
            who="ann",
            origin="cli",
            asked_at=AT,
            total=0,
        )
        try:
            replay = await self.replays.start(asked)
        except (BusyError, NotFoundError):
            return
        self.running.append((replay, await self.replays.begin(replay.id)))

    async def send(self) -> None:
        if not self.running:
            return
        replay, runner = self.random.choice(self.running)
        letters = await self.replays.claim(replay, self.random.randrange(1, 4), runner)
        some = [letter for letter in letters if self.random.random() < 0.7]
        sending = Sending(replay_id=replay.id, at=AT, target="t")
        await self.replays.note_sent(replay.id, {letter.id: sending for letter in some})

    async def settle(self) -> None:
        outcomes = [LetterState.RESOLVED, LetterState.FAILED_AGAIN, LetterState.UNKNOWN, LetterState.UNKNOWN]
        settlements = [
            Settlement(letter_id=letter.id, replay_id=replay, outcome=self.random.choice(outcomes), detail="")
            for letter in await self.replays.awaited(limit=3)
            for replay in {letter.replay_id or "", letter.sendings[0].replay_id}
        ]
        await self.replays.settle(settlements)
        await self.replays.settle(settlements)

    async def return_one(self) -> None:
        replays = [replay for replay, _runner in self.running] + self.ended
        documents = await self.database.collection("dead_letters").find({}).to_list()
        if documents and replays:
            parent = self.random.choice(documents)
            sent_by = self.random.choice([str(parent.get("replay_id")), self.random.choice(replays).id])
            await self.capture(parent, sent_by)

    async def end(self) -> None:
        if self.running:
            replay, runner = self.running.pop(self.random.randrange(len(self.running)))
            await self.replays.end(replay.id, runner, ReplayState.CANCELLED, "")
            self.ended.append(replay)


def assert_counted(bench: LetterBench) -> None:
    """What groups and replays count is what a recount gives."""
    letters = bench.letters()
    states = Counter((letter["cause_id"], letter["state"]) for letter in letters)
    counted = {
        (group["_id"], state): count for group in bench.groups() for state, count in group["counts"].items() if count
    }
    assert counted == dict(states)
    kept = [*letters, *bench.database["dead_letter_archive"].find()]
    sendings = [sending for letter in kept for sending in letter.get("sendings", ())]
    outcomes = Counter((sending["replay_id"], sending["outcome"]) for sending in sendings)
    replays = list(bench.database["replays"].find())
    counts = {(replay["_id"], state): count for replay in replays for state, count in replay["counts"].items() if count}
    assert counts == dict(outcomes)
    assert {replay["_id"]: replay["sent"] for replay in replays if replay["sent"]} == dict(
        Counter(sending["replay_id"] for sending in sendings)
    )
    for letter in letters:
        assert (letter["state"] in ("resolved", "failed_again", "discarded")) == ("settled_at" in letter)
    holds = {replay["_id"]: replay.get("held", []) for replay in replays}
    for letter in letters:
        if "held_by" in letter:
            assert letter["_id"] in holds[letter["held_by"]], "by its ids a replay finds what it holds"
            assert letter["state"] in ("open", "unknown")


async def test_groups_and_replays_count_right_after_any_sequence_of_acts(
    bench: LetterBench, database: Database, random_moments: random.Random
) -> None:
    acts = Acts(database, random_moments)
    await acts.trail.take_over()
    await acts.capture()
    for _ in range(250):
        await acts.act()
        assert_counted(bench)
    while acts.running:
        await acts.end()
    assert_counted(bench)
    for name in ("held_by", "held"):
        assert bench.database["dead_letters"].count_documents({name: {"$exists": True}}) == 0
    assert bench.database["dead_letters"].count_documents({"maybe_repeated": {"$exists": True}})
    await acts.trail.close()
