"""Audit records: written once, never changed."""

from collections.abc import Mapping
from typing import Any

from jobtrail.models.audit import AuditFilter, AuditRecord, Outcome
from jobtrail.models.redaction import redact
from jobtrail.models.token import Role
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.keyset import Page, SortOrder, read_page

_LATEST_FIRST = SortOrder(field="at", direction=-1)
_MAX_CHARS = 1000


class AuditRepository:
    """The audit records, in the collection `audit`."""

    def __init__(self, database: Database) -> None:
        self._audit = database.collection("audit")

    async def insert(self, record: AuditRecord) -> None:
        """Keep a record; secrets in its texts are masked, and a long text is cut off."""
        with translated():
            await self._audit.insert_one(_document(record))

    async def list(self, wanted: AuditFilter, *, limit: int, cursor: str | None = None) -> Page[AuditRecord]:
        """Read one page of records, the latest first."""
        query: Document = {}
        if wanted.act is not None:
            query["act"] = wanted.act
        if wanted.since is not None:
            query["at"] = {"$gte": wanted.since}
        page = await read_page(self._audit, query, _LATEST_FIRST, limit=limit, cursor=cursor)
        return Page(rows=[_record(document) for document in page.rows], next=page.next)


def _document(record: AuditRecord) -> Document:
    return {
        "_id": record.id,
        "at": record.at,
        "who": record.who,
        "role": record.role and record.role.value,
        "user_id": record.user_id,
        "act": record.act,
        "target": _clean(record.target),
        "origin": _clean(record.origin),
        "outcome": record.outcome.value,
        "details": {name: _clean(text) for name, text in record.details.items()},
    }


def _record(document: Mapping[str, Any]) -> AuditRecord:
    return AuditRecord(
        id=document["_id"],
        at=document["at"],
        who=document["who"],
        role=Role(document["role"]) if document["role"] else None,
        user_id=document["user_id"],
        act=document["act"],
        target=document["target"],
        origin=document["origin"],
        outcome=Outcome(document["outcome"]),
        details=document["details"],
    )


def _clean(text: str) -> str:
    return redact(text)[:_MAX_CHARS]
