"""Dead letters for the tests of the web, as capture and replays leave them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pika

from jobtrail.broker.properties import encode
from jobtrail.deadletters.reading import caused
from jobtrail.models.dead_letters.dead_letter import Cause, DeadLetter, LetterFilter, LetterKind, LetterState, Sending
from jobtrail.models.dead_letters.replay import Replay, ReplayState
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.dead_letters.documents import replay_document
from jobtrail.store.dead_letters.replayed import Settlement
from jobtrail.store.dead_letters.replays import ReplayRepository
from tests.deadletters.conftest import update_body

NOW = datetime.now(UTC).replace(microsecond=0)


def letter(number: int = 1, **fields: Any) -> DeadLetter:
    """Make a letter that was not stored yet: an update whose body was too large, unless fields say otherwise."""
    body = fields.pop("body", update_body(f"job-{number}"))
    cause = {
        "queue": "dead",
        "origin": "replies",
        "reason": "too_large",
        "error": "",
        "extractor_id": "ncsa.test",
        "version": "1.0",
    }
    cause |= {name: fields.pop(name) for name in tuple(fields) if name in cause and name != "error"}
    properties = fields.pop(
        "properties", pika.BasicProperties(content_type="application/json", headers={"x-number": number})
    )
    made = DeadLetter(
        id="",
        cause_id="",
        cause=Cause(**cause),
        size_bytes=len(body),
        body=body,
        properties=encode(properties),
        **{
            "kind": LetterKind.UPDATE,
            "error": f"{2000 + number} bytes; the limit is 1024",
            "captured_at": NOW - timedelta(minutes=number),
            "happened_at": NOW - timedelta(minutes=number),
            "seq": 0,
            "origin_routing_key": "replies",
            "job_id": f"job-{number}",
            "key": f"key-{number}-{cause['reason']}",
        }
        | fields,
    )
    caused(made)
    return made


async def store_letters(database: Database, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
    """Store letters; each gets its id."""
    assert await LetterRepository(database).insert(letters) == len(letters)
    return letters


async def store_replay(database: Database, selection: LetterFilter, **fields: Any) -> Replay:
    """Put a replay on record that nobody runs."""
    replay = Replay(
        **{
            "id": "replay-1",
            "selection": selection,
            "target": None,
            "rate": None,
            "staged": True,
            "who": "ann",
            "origin": "cli",
            "asked_at": NOW,
            "total": 0,
        }
        | fields
    )
    if replay.state.is_end:
        await database.collection("replays").insert_one(replay_document(replay))
        return replay
    return await ReplayRepository(database).start(replay)


async def play(database: Database, replay: Replay, outcomes: Sequence[LetterState]) -> Sequence[DeadLetter]:
    """Send the next letters of a replay, without a broker; each comes to an outcome."""
    replays = ReplayRepository(database)
    letters = await replays.claim(replay, len(outcomes))
    sending = {"replay_id": replay.id, "at": NOW, "target": "replies"}
    await replays.note_sent(replay.id, {each.id: Sending(**sending) for each in letters})
    await replays.tell(replay.id, ReplayState.RUNNING)
    await replays.settle(
        [
            Settlement(letter_id=each.id, replay_id=replay.id, outcome=outcome, detail=f"told {outcome}")
            for each, outcome in zip(letters, outcomes, strict=True)
            if outcome is not LetterState.REPLAYED
        ]
    )
    return letters
