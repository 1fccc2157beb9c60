"""A letter that no broker takes as it is: it is set aside and says why, and the others of its replay are sent."""

import asyncio
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from jobtrail.broker.poison import MAX_PROPERTIES_BYTES, poison_in
from jobtrail.broker.properties import changed, decode
from jobtrail.deadletters.reading import caused
from jobtrail.models.dead_letters.dead_letter import DeadLetter, Edit, LetterFilter, LetterKind, LetterState
from jobtrail.models.dead_letters.replay import ReplayState
from jobtrail.models.settings import FORMER_REPLY_QUEUE, Settings
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from tests.deadletters.acts import start_replay
from tests.deadletters.conftest import (
    LetterBench,
    declare,
    packed,
    read,
    read_stream,
    replay_now,
    take_all,
    update_body,
)
from tests.support import Names

ALL = LetterFilter()


def with_header(value: bytes) -> bytes:
    table = b"\1h" + value
    return b"\x20\0" + len(table).to_bytes(4, "big") + table


def of_size(count: int) -> bytes:
    raw = packed(headers={"h": ""})
    return packed(headers={"h": "x" * (count - len(raw))})


DECIMAL = packed(headers={"h": Decimal("1.5")})
DEEP_DECIMAL = packed(headers={"h": {"a": [{"b": Decimal("1.5")}]}})
POISON: Mapping[str, bytes] = {
    "the largest frame": of_size(MAX_PROPERTIES_BYTES),
    "two headers too large": of_size(MAX_PROPERTIES_BYTES - 60),
    "an unknown type": with_header(b"Z\0\0\0\1"),
    "no number": with_header(struct.pack(">cd", b"d", float("nan"))),
}
HARMLESS: Mapping[str, bytes] = {
    "nothing": packed(),
    "a large header": of_size(130_000),
    "names and texts that are not UTF-8": b"\x20\x80\0\0\0\x0a\2\xff\xfeS\0\0\0\2\xff\xfe\2\xff\xfe",
    "another account's name": packed(user_id="somebody", expiration="soon", delivery_mode=7),
}


async def store(
    database: Database, raws: Sequence[bytes], kind: LetterKind, origin: str, body: bytes | None = None
) -> list[str]:
    """Letters with these properties; each body is the letter's number, unless one is given."""
    letters = []
    for number, raw in enumerate(raws):
        letter = read(b"%d" % number if body is None else body, raw, "dead")
        letter.kind, letter.key, letter.job_id = kind, f"key-{number}", f"job-{number}"
        letter.cause = replace(letter.cause, origin=origin)
        caused(letter)
        letters.append(letter)
    assert await LetterRepository(database).insert(letters) == len(letters)
    return [letter.id for letter in letters]


async def one(database: Database, letter_id: str) -> DeadLetter:
    return await LetterRepository(database).get(letter_id)


@pytest.mark.parametrize("staged", [False, True])
async def test_poison_is_set_aside_without_a_lost_connection_and_the_others_are_sent(
    settings: Settings, names: Names, bench: LetterBench, database: Database, staged: bool
) -> None:
    work = names.queue("work")
    await declare(settings, work)
    raws = [*POISON.values(), *HARMLESS.values(), DECIMAL, DEEP_DECIMAL]
    ids = await store(database, raws, LetterKind.OTHER, work)
    with capture_logs() as logs:
        replay = await replay_now(database, settings, ALL, staged=staged)
    assert not [entry for entry in logs if entry["action"] == "replay.waiting"]

    assert (replay.state, replay.detail) == (ReplayState.DONE, f"{len(POISON)} letters could not be sent as they are")
    assert replay.counts == {LetterState.UNKNOWN: len(POISON), LetterState.REPLAYED: len(HARMLESS) + 2}
    arrived = [body for _raw, body in await take_all(settings, work)]
    assert arrived == [b"%d" % number for number in range(len(POISON), len(raws))]
    for letter_id in ids[: len(POISON)]:
        letter = await one(database, letter_id)
        (sending,) = letter.sendings
        assert (letter.state, sending.target) == (LetterState.UNKNOWN, "")
        assert sending.detail.startswith("not sent: ")


async def test_a_letter_that_was_set_aside_is_sent_once_it_is_mended(
    settings: Settings, names: Names, bench: LetterBench, database: Database
) -> None:
    work = names.queue("work")
    await declare(settings, work)
    (letter_id,) = await store(database, [POISON["an unknown type"]], LetterKind.OTHER, work)
    await replay_now(database, settings, ALL)
    letter = await one(database, letter_id)
    mended = changed(letter.properties, headers={"h": "1"})
    await LetterRepository(database).edit(
        letter_id, Edit(body=letter.body, properties=mended, by="ann", at=datetime.now(UTC))
    )
    replay = await replay_now(database, settings, ALL)
    assert (replay.state, replay.detail) == (ReplayState.DONE, "")
    ((raw, _body),) = await take_all(settings, work)
    assert (decode(raw).headers or {})["h"] == "1"


async def test_a_decimal_on_its_way_to_a_stream_is_set_aside(
    settings: Settings, bench: LetterBench, database: Database
) -> None:
    await asyncio.to_thread(lambda: bench.channel)
    stream = settings.reply_streams[0]
    raws = [DECIMAL, packed(message_id="good"), DEEP_DECIMAL, HARMLESS["names and texts that are not UTF-8"]]
    ids = await store(database, raws, LetterKind.UPDATE, stream, update_body("job"))
    replay = await replay_now(database, settings, ALL, staged=False)
    assert (replay.state, replay.counts) == (ReplayState.DONE, {LetterState.UNKNOWN: 2, LetterState.REPLAYED: 2})
    sent = await read_stream(settings, stream, 2)
    assert [decode(raw).message_id for raw, _body in sent] == ["good", r"\xff\xfe"]
    assert "stream" in (await one(database, ids[0])).sendings[0].detail


@pytest.mark.parametrize("origin", ["n" * 256, "ü" * 128])
async def test_a_letter_from_a_queue_whose_name_is_none_is_set_aside(
    settings: Settings, names: Names, bench: LetterBench, database: Database, origin: str
) -> None:
    work = names.queue("work")
    await declare(settings, work)
    await store(database, [packed()], LetterKind.OTHER, origin)
    replay = await replay_now(database, settings, ALL)
    assert (replay.state, replay.counts) == (ReplayState.DONE, {LetterState.UNKNOWN: 1})
    again = await replay_now(database, settings, ALL, target=work)
    assert (again.state, again.counts) == (ReplayState.DONE, {LetterState.REPLAYED: 1})


async def test_poison_of_a_kind_that_nobody_knows_costs_some_connections_and_then_no_more(
    settings: Settings, names: Names, bench: LetterBench, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = names.queue("work")
    await declare(settings, work)
    poison = POISON["no number"]
    monkeypatch.setattr("jobtrail.deadletters.outgoing.poison_in", lambda _raw, *, to_stream: None)
    raws = [packed()] * 20 + [poison] + [packed()] * 20 + [poison] + [packed()] * 3
    ids = await store(database, raws, LetterKind.OTHER, work)
    assert poison_in(poison, to_stream=False)
    with capture_logs() as logs:
        replay = await replay_now(database, settings, ALL, staged=False)
    losses = [entry for entry in logs if entry["action"] == "replay.waiting"]
    assert len(losses) == 5, "one for the batch, two for each letter that was alone then"

    assert (replay.state, replay.counts) == (ReplayState.DONE, {LetterState.UNKNOWN: 2, LetterState.REPLAYED: 43})
    arrived = [int(body) for _raw, body in await take_all(settings, work)]
    assert sorted(arrived) == [number for number, raw in enumerate(raws) if raw != poison]
    assert (await one(database, ids[20])).sendings[0].detail.startswith("not sent: RabbitMQ")


async def test_updates_of_a_queue_or_a_stream_that_is_read_no_more_go_to_the_stream_of_their_job(
    settings: Settings, bench: LetterBench, database: Database
) -> None:
    await asyncio.to_thread(lambda: bench.channel)
    stream = settings.reply_streams[0]
    for origin in (FORMER_REPLY_QUEUE, f"{settings.reply_stream}.7", stream):
        await database.collection("dead_letters").delete_many({})
        await store(database, [packed(message_id=origin)], LetterKind.UPDATE, origin, update_body("job"))
        replay = await replay_now(database, settings, ALL, staged=False)
        assert (replay.state, replay.detail) == (ReplayState.DONE, "")
    sent = await read_stream(settings, stream, 3)
    assert [decode(raw).message_id for raw, _body in sent] == [
        FORMER_REPLY_QUEUE,
        f"{settings.reply_stream}.7",
        stream,
    ]


async def test_a_request_whose_ids_are_no_text_is_replayed_and_marked(
    settings: Settings, names: Names, bench: LetterBench, database: Database
) -> None:
    work = names.queue("work")
    await declare(settings, work)
    await asyncio.to_thread(lambda: bench.channel)
    raw = b"\x06\0" + b"\xc8" + b"\xff" * 200 + b"\xc8" + b"\xfe" * 200  # correlation_id and reply_to
    await store(database, [raw], LetterKind.REQUEST, work, b'{"id": "file-1", "job_id": "job-0"}')
    replay = await replay_now(database, settings, ALL, staged=False)
    assert (replay.state, replay.detail) == (ReplayState.DONE, "")
    ((sent, _body),) = await take_all(settings, work)
    assert raw[2:] in sent
    ((mark, _body),) = await read_stream(settings, settings.reply_to("job-0"), 1)
    assert (decode(mark).headers or {})["jobtrail-replay"] == replay.id


async def test_what_may_be_a_repetition_is_left_out_of_a_replay_unless_it_is_asked_for(
    settings: Settings, names: Names, bench: LetterBench, database: Database
) -> None:
    work = names.queue("work")
    await declare(settings, work)
    first, second, third = await store(database, [packed()] * 3, LetterKind.OTHER, work)
    for repeated in (second, third):
        key = (await one(database, repeated)).key
        bench.database["dead_letters"].update_one({"key": key}, {"$set": {"maybe_repeated": first}})
    replay = await replay_now(database, settings, ALL, staged=False)
    assert (replay.total, replay.sent) == (1, 1)
    asked = await start_replay(database, LetterFilter(ids=[second]), who="ann", origin="cli")
    assert asked.total == 1, "one that is named is asked for"
    bench.database["replays"].delete_one({"_id": asked.id})
    rest = await replay_now(database, settings, ALL, staged=False, include_repeated=True)
    assert (rest.total, rest.sent) == (2, 2)
    assert [body for _raw, body in await take_all(settings, work)] == [b"0", b"1", b"2"]
