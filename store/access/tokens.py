"""Bearer tokens, stored as hashes: who can read the database can't ask with them.

A plain SHA-256 is right here. Slow, salted hashes protect what people think up; a token is 256 random bits, which
can't be found by trying, so its hash can be fast enough for each request and be looked up by an index. How long that
look-up takes tells nothing of use either: it depends on the hash, and who asks can't steer a hash towards a stored one.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from pymongo import ReturnDocument

from jobtrail.models.errors import NotFoundError, OwnershipLostError, SettingError
from jobtrail.models.token import PREFIX, Role, Token
from jobtrail.store.database import Database, Document, translated

LAST_USED_GRAIN = timedelta(minutes=10)
"""A token's last use is written no more often, so that a request costs a read, not a write."""

_RANDOM_BYTES = 32


class TokenRepository:
    """The tokens, in the collection `tokens`."""

    def __init__(self, database: Database) -> None:
        self._tokens = database.collection("tokens")

    async def create(
        self, name: str, *, role: Role, user_id: str | None, now: datetime, expires_at: datetime | None = None
    ) -> tuple[Token, str]:
        """Make a token.

        `expires_at`: from when on it opens nothing; None for never. Returns what is stored of it, and the token itself,
        which can't be read again.
        """
        secret = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        document: Document = {
            "_id": secrets.token_hex(6),
            "hash": _hash(secret),
            "name": name,
            "role": role.value,
            "user_id": user_id,
            "created_at": now,
            "expires_at": expires_at,
            "last_used_at": None,
            "revoked_at": None,
        }
        try:
            with translated():
                await self._tokens.insert_one(document)
        except OwnershipLostError as error:
            raise SettingError(f"there is a token {name!r} already: choose another name, or revoke it first") from error
        return _token_from(document), secret

    async def list(self) -> Sequence[Token]:
        """Return all tokens, also those that open nothing any more, the newest first."""
        with translated():
            documents = await self._tokens.find().sort([("created_at", -1), ("_id", 1)]).to_list()
        return [_token_from(document) for document in documents]

    async def revoke(self, name_or_id: str, now: datetime) -> Token:
        """Revoke a token for good; one that is revoked already stays as it is.

        Raises `NotFoundError`: there is none.
        """
        revoked = [{"$set": {"revoked_at": {"$ifNull": ["$revoked_at", now]}}}]
        for query in ({"_id": name_or_id}, {"name": name_or_id, "revoked_at": None}):
            with translated():
                document = await self._tokens.find_one_and_update(query, revoked, return_document=ReturnDocument.AFTER)
            if document is not None:
                return _token_from(document)
        raise NotFoundError(f"there is no token {name_or_id!r} to revoke: see `jobtrail token list`")

    async def recognise(self, secret: str, now: datetime) -> Token | None:
        """Find the token that somebody shows, and note its use.

        Returns the token; None where it is unknown, revoked or expired.
        """
        return await self._use({"hash": _hash(secret)}, now)

    async def use(self, token_id: str, now: datetime) -> Token | None:
        """Find the token that a session began with, and note its use.

        Returns the token; None where it is revoked or expired meanwhile.
        """
        return await self._use({"_id": token_id}, now)

    async def any_valid(self, now: datetime) -> bool:
        """Tell whether there is a token that opens anything."""
        valid: Document = {"revoked_at": None, "$or": [{"expires_at": None}, {"expires_at": {"$gt": now}}]}
        with translated():
            return await self._tokens.find_one(valid, {"_id": 1}) is not None

    async def _use(self, query: Document, now: datetime) -> Token | None:
        with translated():
            document = await self._tokens.find_one(query)
            if document is None or not (token := _token_from(document)).is_valid(now):
                return None
            if token.last_used_at is None or now - token.last_used_at >= LAST_USED_GRAIN:
                await self._tokens.update_one({"_id": token.id}, {"$max": {"last_used_at": now}})
        return token


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _token_from(document: Mapping[str, Any]) -> Token:
    return Token(
        id=document["_id"],
        name=document["name"],
        role=Role(document["role"]),
        user_id=document["user_id"],
        created_at=document["created_at"],
        expires_at=document["expires_at"],
        last_used_at=document["last_used_at"],
        revoked_at=document["revoked_at"],
    )
