"""Bodies that are too large for a document: MongoDB's documents hold 16 MB, RabbitMQ's messages 128 MB and more."""

from collections.abc import Mapping
from typing import Any

from bson import Binary, ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.store.database import Database, Document

PART_BYTES = 8 * 1024 * 1024
"""A larger body is split into parts of this size."""


class LetterBodies:
    """Takes large bodies out of documents, and puts them back."""

    def __init__(self, database: Database) -> None:
        self._parts = database.collection("dead_letter_parts")

    async def take_out(self, document: Document, session: AsyncClientSession) -> Document:
        """Store a large body in parts, and return the document without it; a small one stays."""
        body = bytes(document["body"])  # type: ignore[call-overload]
        if len(body) <= PART_BYTES:
            return document
        for number, at in enumerate(range(0, len(body), PART_BYTES)):
            part = {"letter": document["_id"], "number": number, "data": Binary(body[at : at + PART_BYTES])}
            await self._parts.insert_one(part, session=session)
        return document | {"body": Binary(b"")}

    async def put_back(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the document with its whole body."""
        if document["size_bytes"] <= PART_BYTES:
            return document
        parts = self._parts.find({"letter": document["_id"]}).sort("number", 1)
        return {**document, "body": b"".join([bytes(part["data"]) async for part in parts])}  # type: ignore[call-overload]

    async def remove(self, ids: list[ObjectId], session: AsyncClientSession) -> None:
        """Remove the large bodies of dead letters."""
        await self._parts.delete_many({"letter": {"$in": ids}}, session=session)
