"""The outbox: what is to be sent, who is sending it, and what became of it. Times are the database's."""

from collections.abc import Iterable, Sequence
from typing import Any, cast
from uuid import uuid4

from pymongo.errors import BulkWriteError

from jobtrail.models.errors import RecordError
from jobtrail.models.notifications.outbox import (
    UNSENT_STATES,
    Envelope,
    OutboxEntry,
    OutboxOverview,
    OutboxState,
)
from jobtrail.models.redaction import redact
from jobtrail.models.settings import ChannelName
from jobtrail.store.database import DUPLICATE_KEY, Database, Document, from_now, translated
from jobtrail.store.leases.lease import turn
from jobtrail.store.notifications.documents import entry_document, entry_from

GROUP_MAX = 1000
"""Entries that become one message at the most."""
TURN_S = 10.0
"""Seconds that claiming a group may take, and that others wait when a claimer was killed meanwhile."""
_ERROR_CHARS = 500
_OLDEST_FIRST = [("not_before", 1)]
_UNSENT = [OutboxState.WAITING.value, OutboxState.SENDING.value]


class OutboxRepository:
    """The entries of the outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._outbox = database.outbox

    async def insert(self, entries: Sequence[OutboxEntry]) -> None:
        """Put entries in; one whose key is there already is left as it is."""
        if not entries:
            return
        with translated():
            try:
                await self._outbox.insert_many([entry_document(entry) for entry in entries], ordered=False)
            except BulkWriteError as error:
                if any(refusal["code"] != DUPLICATE_KEY for refusal in error.details["writeErrors"]):
                    raise

    async def claim(self, channel: ChannelName, holder: str, *, lease_s: float, limit: int) -> list[Envelope]:
        """Claim due entries, oldest first, each as a message of its own.

        `lease_s`: seconds after which others may claim them anew. Returns the messages; empty when nothing is due.
        """
        with translated():
            due = self._outbox.find({"channel": channel.value, **_due()}, {"_id": 1}).sort(_OLDEST_FIRST).limit(limit)
            keys = [document["_id"] async for document in due]
            if not keys:
                return []
            token = _token(holder)
            await self._outbox.update_many({"_id": {"$in": keys}, **_due()}, _claimed(token, "$_id", lease_s))
        return [
            Envelope(key=entry.batch or entry.key, holder=token, entries=[entry]) for entry in await self._held(token)
        ]

    async def claim_group(self, channel: ChannelName, holder: str, *, lease_s: float) -> list[Envelope]:
        """Claim the oldest due entry, and with it what becomes one message with it.

        Those are the entries that it went out with before, or, the first time, all that are due with the same recipient
        and cause. So a message that is sent again is the same message.

        `lease_s`: seconds after which others may claim them anew. Returns the one message; empty when nothing is due.
        """
        # Look first: taking turns costs more, and mostly nothing is due.
        if not await self.has_due(channel):
            return []
        token = _token(holder)
        # Claimers take turns, so that none gets a part of a group. Not a transaction: one that a killed process leaves
        # open would keep its locks for a minute, and there are many holders at once whose sessions must not be ended.
        async with turn(self._database, f"outbox {channel}", TURN_S) as ours:
            if not ours:
                return []
            await self._claim_oldest_group(channel, token, lease_s)
        entries = await self._held(token)
        return [Envelope(key=entries[0].batch or entries[0].key, holder=token, entries=entries)] if entries else []

    async def _claim_oldest_group(self, channel: ChannelName, token: str, lease_s: float) -> None:
        oldest = await self._outbox.find_one({"channel": channel.value, **_due()}, sort=_OLDEST_FIRST)
        if oldest is None:
            return
        others = {"_id": {"$ne": oldest["_id"]}, **_group_of(oldest)}
        found = self._outbox.find(others, {"_id": 1}).limit(GROUP_MAX - 1)
        keys = [oldest["_id"], *[document["_id"] async for document in found]]
        unsent = {"_id": {"$in": keys}, "state": {"$in": _UNSENT}}
        await self._outbox.update_many(unsent, _claimed(token, {"$literal": _batch_of(oldest)}, lease_s))

    async def sent(self, envelopes: Sequence[Envelope]) -> None:
        """Note that messages were sent. That is a fact, also when the lease has run out meanwhile."""
        keys = [entry.key for envelope in envelopes for entry in envelope.entries]
        change = {"$set": {"state": OutboxState.SENT.value, "error": None, "holder": None}}
        with translated():
            await self._outbox.update_many({"_id": {"$in": keys}}, change | {"$currentDate": {"sent_at": True}})

    async def postpone(self, envelope: Envelope, error: str, delay_s: float) -> None:
        """Put a message back after a failed attempt.

        `delay_s`: seconds until it is tried again.
        """
        await self._settle(
            envelope, {"state": OutboxState.WAITING.value, "error": error, "not_before": from_now(delay_s)}
        )

    async def give_back(self, envelope: Envelope, delay_s: float = 0.0) -> None:
        """Put a message back that was not tried; this attempt does not count.

        `delay_s`: seconds until it is tried.
        """
        uncounted = {"$subtract": ["$attempts", 1]}
        await self._settle(
            envelope, {"state": OutboxState.WAITING.value, "attempts": uncounted, "not_before": from_now(delay_s)}
        )

    async def give_up(self, envelope: Envelope, error: str) -> None:
        """Note that a message will not be tried again."""
        await self._settle(envelope, {"state": OutboxState.FAILED.value, "error": error})

    async def retry(self, keys: Sequence[str] | None = None) -> int:
        """Let messages be tried again at once, with all their attempts before them.

        `keys`: keys of entries that were given up or wait; what went out with them in one message goes with them. None
        for all that were given up. Returns how many entries will be tried again.
        """
        wanted: Document = {"state": OutboxState.FAILED.value}
        with translated():
            if keys is not None:
                batches = await self._outbox.distinct("batch", {"_id": {"$in": list(keys)}, "batch": {"$ne": None}})
                wanted = {
                    "state": {"$in": [OutboxState.FAILED.value, OutboxState.WAITING.value]},
                    "$or": [{"_id": {"$in": list(keys)}}, {"batch": {"$in": batches}}],
                }
            again = {"state": OutboxState.WAITING.value, "attempts": 0, "not_before": "$$NOW"}
            return (await self._outbox.update_many(wanted, [{"$set": again}])).modified_count

    async def entries(self, states: Iterable[OutboxState] = OutboxState, *, limit: int = 100) -> list[OutboxEntry]:
        """List entries, newest first.

        Returns the entries; one that another version wrote and this one can't read is left out.
        """
        return await self._read({"state": {"$in": [state.value for state in states]}}, newest_first=True, limit=limit)

    async def overview(self, *, failed_only: bool, limit: int, max_sent: int) -> OutboxOverview:
        """Read what is not sent and what was sent lately, or only what was given up; and count what is not sent."""
        states = (OutboxState.FAILED,) if failed_only else UNSENT_STATES
        return OutboxOverview(
            unsent=await self.entries(states, limit=limit),
            sent=[] if failed_only else await self.entries((OutboxState.SENT,), limit=max_sent),
            backlog=await self.backlog(),
        )

    async def of_dataset(self, dataset_id: str) -> list[OutboxEntry]:
        """List the entries about one dataset, oldest first."""
        return await self._read({"dataset_id": dataset_id})

    async def backlog(self) -> dict[tuple[ChannelName, OutboxState], int]:
        """Count what is not sent, by channel and state."""
        unsent = {"channel": {"$in": [name.value for name in ChannelName]}, "state": {"$ne": OutboxState.SENT.value}}
        by_both = {"$group": {"_id": {"channel": "$channel", "state": "$state"}, "count": {"$sum": 1}}}
        with translated():
            groups = await (await self._outbox.aggregate([{"$match": unsent}, by_both])).to_list()
        return {
            (ChannelName(group["_id"]["channel"]), OutboxState(group["_id"]["state"])): group["count"]
            for group in cast("list[dict[str, Any]]", groups)
        }

    async def has_due(self, channel: ChannelName, within_s: float = 0.0) -> bool:
        """Say whether a message is due on a channel, or will be soon.

        `within_s`: how soon, in seconds.
        """
        with translated():
            return await self._outbox.find_one({"channel": channel.value, **_due(within_s)}, {"_id": 1}) is not None

    async def _held(self, token: str) -> list[OutboxEntry]:
        """Read what was just claimed; what can't be read is given up, so that it does not come back again and again."""
        entries = []
        with translated():
            found = self._outbox.find({"state": OutboxState.SENDING.value, "holder": token}).sort([("_id", 1)])
            async for document in found:
                try:
                    entries.append(entry_from(document))
                except RecordError as error:
                    given_up = {"state": OutboxState.FAILED.value, "error": _clean(str(error)), "holder": None}
                    await self._outbox.update_one({"_id": document["_id"]}, {"$set": given_up})
        return sorted(entries, key=lambda entry: (entry.created_at, entry.key))

    async def _settle(self, envelope: Envelope, fields: Document) -> None:
        """Let go of a message whose lease is still ours."""
        if isinstance(error := fields.get("error"), str):
            fields = fields | {"error": {"$literal": _clean(error)}}
        ours = {"_id": {"$in": [entry.key for entry in envelope.entries]}, "holder": envelope.holder}
        with translated():
            await self._outbox.update_many(ours, [{"$set": fields | {"holder": None}}])

    async def _read(self, wanted: Document, *, newest_first: bool = False, limit: int = 0) -> list[OutboxEntry]:
        entries = []
        order = -1 if newest_first else 1
        with translated():
            async for document in self._outbox.find(wanted).sort([("created_at", order), ("_id", order)]).limit(limit):
                try:
                    entries.append(entry_from(document))
                except RecordError:
                    continue
        return entries


def _due(within_s: float = 0.0) -> Document:
    """Find what is due: a claimed entry is when its lease ends, so that what a dead dispatcher left is found too."""
    return {"state": {"$in": _UNSENT}, "$expr": {"$lte": ["$not_before", from_now(within_s)]}}


def _token(holder: str) -> str:
    """Name one claim, so that what its holder claimed before is not taken for a part of it."""
    return f"{holder}/{uuid4().hex[:12]}"


def _claimed(token: str, batch: object, lease_s: float) -> list[Document]:
    claim = {
        "state": OutboxState.SENDING.value,
        "holder": token,
        "not_before": from_now(lease_s),
        "attempts": {"$add": ["$attempts", 1]},
        "batch": {"$ifNull": ["$batch", batch]},
    }
    return [{"$set": claim}]


def _batch_of(oldest: Document) -> object:
    """Name the message that the oldest entry of a group goes out with."""
    return oldest["_id"] if oldest.get("batch") is None else oldest["batch"]


def _group_of(oldest: Document) -> Document:
    """Find what goes out together with a due entry, itself included."""
    bound = {"batch": _batch_of(oldest), "state": {"$in": _UNSENT}}
    if oldest.get("batch") is not None:
        return bound
    same = {name: oldest[name] for name in ("channel", "recipient", "cause")}
    new = {**same, "body.type": cast(Document, oldest["body"])["type"], "batch": None, **_due()}
    # A claim that broke off halfway has bound a part of them already, which was never sent.
    return {"$or": [new, bound]}


def _clean(error: str) -> str:
    return redact(error)[:_ERROR_CHARS]
