"""Terms: numbers that tell apart the processes that do something one after another."""

from typing import Any

from pymongo import ReturnDocument

from jobtrail.store.database import Database, translated


async def next_term(database: Database, purpose: str) -> int:
    """Begin a term for a purpose; return its number, greater than those of all terms before."""
    with translated():
        document: Any = await database.collection("positions").find_one_and_update(
            {"_id": purpose}, {"$inc": {"term": 1}}, upsert=True, return_document=ReturnDocument.AFTER
        )
    return int(document["term"])
