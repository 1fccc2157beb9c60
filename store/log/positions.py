"""How far all streams have been stored."""

from collections.abc import Mapping, Sequence
from typing import Any

from jobtrail.models.position import Position
from jobtrail.store.database import Database, translated
from jobtrail.store.log.log import position_from


async def read_positions(database: Database, reader: str = "stream") -> Sequence[Position]:
    """Read a reader's positions in all streams that it ever read, by name.

    Their ids begin with `reader`: `forward NAME`, or `stream` for the consumer's.
    """
    with translated():
        found = database.collection("positions").find({"_id": {"$regex": f"^{reader} "}}).sort("_id", 1)
        documents: Sequence[Mapping[str, Any]] = await found.to_list()
    return [position_from(document) for document in documents]
