"""Keys that several processes sign with: made once, by whoever needs one first."""

import secrets

from pymongo import ReturnDocument

from jobtrail.models.errors import OwnershipLostError
from jobtrail.store.database import Database, translated

_BYTES = 32


class KeyRepository:
    """The keys, in the collection `keys`."""

    def __init__(self, database: Database) -> None:
        self._keys = database.collection("keys")

    async def get(self, name: str) -> bytes:
        """Read the key for a purpose, the same one for all processes; make it if it does not exist yet."""
        try:
            return await self._get(name)
        except OwnershipLostError:
            # Another process made it between our look and our write.
            return await self._get(name)

    async def _get(self, name: str) -> bytes:
        made = {"$setOnInsert": {"key": secrets.token_bytes(_BYTES)}}
        with translated():
            document = await self._keys.find_one_and_update(
                {"_id": name}, made, upsert=True, return_document=ReturnDocument.AFTER
            )
        return bytes(document["key"])  # type: ignore[arg-type, index]  # an upsert always finds one
