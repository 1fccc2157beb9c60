"""Over which streams updates are spread, and over which ones they were before: in the collection `positions`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jobtrail.models.topology import stream_names, streams_before
from jobtrail.store.database import Database, translated

_ID = "layout"
_REMEMBERED = timedelta(minutes=10)
"""How long after a change a job that was under way may still move from one stream to another one."""
_MAX_FORMER = 20


@dataclass(slots=True, frozen=True, kw_only=True)
class Layout:
    """The streams of the present and of the past."""

    present: Sequence[str] = ()
    """Those that updates are sent to now."""
    known: Sequence[str] = ()
    """All streams that were ever read and are not gone."""
    before: Mapping[str, Sequence[str]]
    """For each present stream, those from which jobs may be on their way to it; nothing where no change is recent."""


class LayoutRepository:
    """Reads and sets the layout."""

    def __init__(self, database: Database) -> None:
        self._positions = database.collection("positions")

    async def set(self, stream: str, partitions: int) -> None:
        """Take note of the streams that updates are sent to now; the latest process to start knows best."""
        now: dict[str, object] = {"stream": stream, "partitions": partitions}
        with translated():
            await self._positions.update_one({"_id": _ID}, {"$setOnInsert": now | {"former": []}}, upsert=True)
            layout: Mapping[str, Any] = await self._positions.find_one({"_id": _ID}) or {}
            change: dict[str, Any] = {"$addToSet": {"known": {"$each": stream_names(stream, partitions)}}}
            if (layout["stream"], layout["partitions"]) != (stream, partitions):
                former = {"stream": layout["stream"], "partitions": layout["partitions"], "until": datetime.now(UTC)}
                change |= {"$set": now, "$push": {"former": {"$each": [former], "$slice": -_MAX_FORMER}}}
            await self._positions.update_one({"_id": _ID}, change)
            ids = [f"stream {name}" for name in stream_names(stream, partitions)]
            await self._positions.update_many({"_id": {"$in": ids}}, {"$unset": {"gone": ""}})

    async def read(self) -> Layout:
        """Read the layout."""
        with translated():
            layout: Mapping[str, Any] = await self._positions.find_one({"_id": _ID}) or {}
            gone = {str(position["stream"]) async for position in self._positions.find({"gone": True}, {"stream": 1})}
        present = stream_names(layout["stream"], layout["partitions"]) if layout else []
        gone -= {*present}
        known = [name for name in layout.get("known", ()) if name not in gone]
        return Layout(present=present, known=known, before=_before(layout, gone) if layout else {})

    async def progress(self, names: Sequence[str]) -> Mapping[str, tuple[datetime | None, int]]:
        """Tell up to when each stream's owner had stored all that it held, None for never, and up to which offset."""
        ids = [f"stream {name}" for name in names]
        fields = {"stream": 1, "caught_up_at": 1, "offset": 1}
        with translated():
            positions: list[Mapping[str, Any]] = [
                position async for position in self._positions.find({"_id": {"$in": ids}}, fields)
            ]
        known = {each["stream"]: (each.get("caught_up_at"), each["offset"]) for each in positions}
        return {name: known.get(name, (None, -1)) for name in names}

    async def now(self) -> datetime:
        """Read the database's clock, by which owners note that they have caught up."""
        with translated():
            hello = await self._positions.database.client.admin.command("hello")
        moment: datetime = hello["localTime"]
        return moment.replace(tzinfo=UTC)


def _before(layout: Mapping[str, Any], gone: set[str]) -> Mapping[str, Sequence[str]]:
    stream, partitions = layout["stream"], layout["partitions"]
    recent = [each for each in layout["former"] if each["until"] > datetime.now(UTC) - _REMEMBERED]
    before: dict[str, Sequence[str]] = {}
    for name in stream_names(stream, partitions):
        found: dict[str, None] = {}
        for former in recent:
            if former["stream"] == stream:
                found |= dict.fromkeys(streams_before(stream, partitions, former["partitions"], name))
            else:
                found |= dict.fromkeys(stream_names(former["stream"], former["partitions"]))
        if names := [each for each in found if each not in gone and each != name]:
            before[name] = names
    return before
