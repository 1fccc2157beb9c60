"""What changes in the databases, as it happens: followed live, and read back from a moment in the past.

A moment is named by a *token*, the text of MongoDB's resume tokens. Their alphabetical order is that of the changes, so
a stream is opened at a token's time, and what lies at the token or before is passed over. MongoDB's own way to resume
would look for the token's change itself, and would not find it where a filter leaves it out.
"""

import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bson import Timestamp
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from jobtrail.models.errors import FeedLostError
from jobtrail.models.jobs.job import Event
from jobtrail.models.redaction import redact
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.datasets.console import Console
from jobtrail.store.jobs.documents import event_from

PORTION_COUNT = 500
"""Updates that are read back together at most."""
PORTION_CHARACTERS = 256 * 1024
"""Characters of their messages after which no further one is read."""

_BATCH = 500
"""Changes that MongoDB sends together at most."""
_AWAIT_MS = 1000
"""Milliseconds after which MongoDB answers even when nothing has changed."""
_AWAIT_AT_END_MS = 1
"""The same where what has happened is wanted, and not what will."""
_LOST = frozenset({260, 280, 286})
"""MongoDB's codes for a moment from which it can't go on: InvalidResumeToken, ChangeStreamFatalError (the change is not
in the oplog), ChangeStreamHistoryLost (the oplog has moved on)."""
_TOKEN = re.compile(r"82([0-9A-F]{8})([0-9A-F]{8})[0-9A-F]{2,4000}")
"""A token begins with its moment: seconds, and a count within them."""

_WRITTEN: Document = {"operationType": {"$in": ["insert", "update", "replace"]}}
_TRAIL_PIPELINE: list[Document] = [
    {
        "$match": {
            "$or": [
                {"ns.coll": "extractions", "operationType": "insert"},
                {"ns.coll": "outbox", **_WRITTEN},
                # Not the dead letters: a thousand that are captured together change a few groups.
                {"ns.coll": {"$in": ["dead_letter_causes", "replays"]}, **_WRITTEN},
                {
                    "ns.coll": {"$in": ["extractors", "extractor_instances"]},
                    # Heartbeats come by the second, and mostly say that nothing has changed.
                    "$or": [
                        {"operationType": {"$in": ["insert", "replace"]}},
                        {"updateDescription.updatedFields.stopping": {"$exists": True}},
                        {"updateDescription.updatedFields.info_json": {"$exists": True}},
                    ],
                },
            ]
        }
    },
    {
        "$project": {
            "updateDescription": 0,
            "fullDocument.body": 0,
            "fullDocument.info_json": 0,
            "fullDocument.selection": 0,
        }
    },
]
_CONSOLE_PIPELINE: list[Document] = [
    {
        "$match": {
            "ns.coll": {"$in": ["wishlist_dataset_histories", "wishlist_dataset_creation_logs", "notifications"]},
            **_WRITTEN,
        }
    },
    {"$project": {"ns": 1, "fullDocument.dataset_id": 1, "fullDocument.user_id": 1}},
]
_ANALYZER_PIPELINE: list[Document] = [
    {"$match": {"ns.coll": "batch_jobs_vps", **_WRITTEN}},
    {"$project": {"ns": 1, "fullDocument.dataset_id": 1}},
]
_EXTRACTOR_FIELD = {"extractors": "name", "extractor_instances": "extractor"}


@dataclass(slots=True, frozen=True, kw_only=True)
class Update:
    """A status update that was stored."""

    token: str
    event: Event


@dataclass(slots=True, frozen=True, kw_only=True)
class Touch:
    """Another record that was written: what it is about."""

    extractor: str | None = None
    dataset_id: str | None = None
    user_id: str | None = None
    """For whom a notification is."""
    cause_id: str | None = None
    """The group of dead letters whose counts changed."""
    replay_id: str | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class Portion:
    """Updates that were read back."""

    updates: Sequence[Update]
    position: str
    """The token up to which there are no other changes."""


class Feed:
    """The changes of one database, in order. `pipeline` chooses which changes, and what of them."""

    def __init__(self, database: AsyncDatabase[Document], pipeline: Sequence[Document]) -> None:
        self._database = database
        self._pipeline = pipeline
        self._position: str | None = None

    @property
    def position(self) -> str | None:
        """The token up to which all changes were handed on; None before it was opened, and once it is lost."""
        return self._position

    async def follow(self) -> AsyncGenerator[Update | Touch | None]:
        """Follow the changes from where they were left, else from now on.

        It yields None when it is open, and now and then while nothing changes. After a `FeedLostError` it can't go on
        from where it was left, and begins at the present the next time.
        """
        after = self._position
        try:
            with _lost_or_translated():
                async with await self._database.watch(
                    self._pipeline,
                    full_document="updateLookup",
                    start_at_operation_time=None if after is None else _time_of(after),
                    batch_size=_BATCH,
                    max_await_time_ms=_AWAIT_MS,
                ) as stream:
                    self._move(_token_of(stream.resume_token))
                    yield None
                    while True:
                        yield await self._next(stream)
        except FeedLostError:
            self._position = None
            raise

    async def _next(self, stream: AsyncChangeStream[Document]) -> Update | Touch | None:
        change: Mapping[str, Any] | None = await stream.try_next()
        if change is None and not stream.alive:
            raise FeedLostError("MongoDB ended the stream of changes; was the database dropped?")
        is_ahead = self._move(_token_of(stream.resume_token if change is None else change["_id"]))
        return None if change is None or not is_ahead else _read(change)

    def _move(self, token: str) -> bool:
        """Go on to a token; return whether it lies ahead."""
        if self._position is not None and token <= self._position:
            return False
        self._position = token
        return True


class TrailFeed(Feed):
    """The changes of the trail's database, and the updates of the past."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.sibling(database.name), _TRAIL_PIPELINE)
        self._extractions = database.extractions

    async def read_back(self, after: str, *, job_id: str | None = None, resource_id: str | None = None) -> Portion:
        """Read the updates that were stored after a token's moment, oldest first, `PORTION_COUNT` at most.

        It is a `FeedLostError` where the oplog has moved on past that moment, or the token is not one of ours.
        """
        wanted: Document = {"operationType": "insert"}
        for field, value in (("job_id", job_id), ("file_id", resource_id)):
            if value is not None:
                wanted[f"fullDocument.{field}"] = value
        updates: list[Update] = []
        characters = 0
        with _lost_or_translated():
            async with await self._extractions.watch(
                [{"$match": wanted}],
                start_at_operation_time=_time_of(after),
                batch_size=PORTION_COUNT,
                max_await_time_ms=_AWAIT_AT_END_MS,
            ) as stream:
                while len(updates) < PORTION_COUNT and characters < PORTION_CHARACTERS:
                    change = await stream.try_next()
                    if change is None:
                        return Portion(updates=updates, position=max(after, _token_of(stream.resume_token)))
                    update = _read(change)
                    if isinstance(update, Update) and update.token > after:
                        updates.append(update)
                        characters += len(str(update.event.update.message))  # whatever another program wrote
        return Portion(updates=updates, position=updates[-1].token)


def console_feeds(console: Console) -> Sequence[Feed]:
    """Make the feeds of the console's and the analyzer's databases; their positions are independent."""
    return [
        Feed(console.histories.database, _CONSOLE_PIPELINE),
        Feed(console.batch_jobs.database, _ANALYZER_PIPELINE),
    ]


def is_token(text: str) -> bool:
    """Tell whether a text may be a token; whether its moment is still known, only reading back shows."""
    return _TOKEN.fullmatch(text) is not None


def _read(change: Mapping[str, Any]) -> Update | Touch:
    collection = change["ns"]["coll"]
    # None: the record was removed after this change.
    document: Mapping[str, Any] = change.get("fullDocument") or {}
    if collection == "extractions":
        try:
            return Update(token=_token_of(change["_id"]), event=event_from(document))
        except (KeyError, ValueError, TypeError):
            return Touch()  # another program's document, which is no event
    return Touch(
        extractor=_text(document.get(_EXTRACTOR_FIELD.get(collection, ""))),
        dataset_id=_text(document.get("dataset_id")),
        user_id=_text(document.get("user_id")) if collection == "notifications" else None,
        cause_id=_text(change["documentKey"]["_id"]) if collection == "dead_letter_causes" else None,
        replay_id=_text(change["documentKey"]["_id"]) if collection == "replays" else None,
    )


def _text(value: object) -> str | None:
    # The console's ids may be of any type.
    return None if value is None else str(value)


def _token_of(token: Mapping[str, Any] | None) -> str:
    return "" if token is None else str(token["_data"])


def _time_of(token: str) -> Timestamp:
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise FeedLostError(f"not a valid token: {token[:80]!r}")
    return Timestamp(int(found[1], 16), int(found[2], 16))


@contextmanager
def _lost_or_translated() -> Iterator[None]:
    """Turn the driver's errors into ours: a `FeedLostError` where MongoDB can't go on from the requested moment."""
    with translated():
        try:
            yield
        except OperationFailure as error:
            if error.code in _LOST:
                raise FeedLostError(f"MongoDB can't resume from there: {redact(str(error))[:200]}") from error
            raise
