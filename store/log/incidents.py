"""Incidents of the streams: written in the transaction that opens the new epoch, acknowledged by an operator."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.errors import NotFoundError
from jobtrail.models.incident import Incident, IncidentKind
from jobtrail.models.notifications.outbox import OutboxEntry
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.keyset import Page, SortOrder, read_page
from jobtrail.store.notifications.documents import entry_document

_LATEST_FIRST = SortOrder(field="at", direction=-1)
_OPEN: Document = {"acknowledged_at": None}


class IncidentRepository:
    """The incidents, in the collection `incidents`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._incidents = database.collection("incidents")

    async def add(self, incident: Incident, session: AsyncClientSession, outbox: Sequence[OutboxEntry] = ()) -> None:
        """Keep an incident within a transaction, with the messages that report it."""
        await self._incidents.insert_one(_document(incident), session=session)
        if outbox:
            await self._database.outbox.insert_many([entry_document(entry) for entry in outbox], session=session)

    async def list(self, *, limit: int, cursor: str | None = None, open_only: bool = False) -> Page[Incident]:
        """Read one page of incidents, the latest first: all, or those that are not acknowledged."""
        query = _OPEN if open_only else {}
        page = await read_page(self._incidents, query, _LATEST_FIRST, limit=limit, cursor=cursor)
        return Page(rows=[_incident(document) for document in page.rows], next=page.next)

    async def unacknowledged(self) -> int:
        """Count the incidents that are not acknowledged."""
        with translated():
            return await self._incidents.count_documents(_OPEN)

    async def acknowledge(self, incident_id: str, who: str) -> Incident:
        """Note who knows of an incident; the first one stays. Return the incident as it is now."""
        noted = {"$set": {"acknowledged_at": datetime.now(UTC), "acknowledged_by": who}}
        with translated():
            await self._incidents.update_one({"_id": incident_id, **_OPEN}, noted)
            document = await self._incidents.find_one({"_id": incident_id})
        if document is None:
            raise NotFoundError(f"there is no incident {incident_id[:80]!r}")
        return _incident(document)


def _document(incident: Incident) -> Document:
    return {
        "_id": incident.id,
        "at": incident.at,
        "kind": incident.kind.value,
        "stream": incident.stream,
        "reader": incident.reader,
        "missing": incident.missing,
        "from_offset": incident.from_offset,
        "to_offset": incident.to_offset,
        "epoch": incident.epoch,
        "seq": incident.seq,
        "detail": incident.detail,
        "acknowledged_at": incident.acknowledged_at,
        "acknowledged_by": incident.acknowledged_by,
    }


def _incident(document: Mapping[str, Any]) -> Incident:
    return Incident(
        id=document["_id"],
        at=document["at"],
        kind=IncidentKind(document["kind"]),
        stream=document["stream"],
        reader=document["reader"],
        missing=document["missing"],
        from_offset=document["from_offset"],
        to_offset=document["to_offset"],
        epoch=document["epoch"],
        seq=document["seq"],
        detail=document["detail"],
        acknowledged_at=document["acknowledged_at"],
        acknowledged_by=document["acknowledged_by"],
    )
