"""Makes and revokes tokens, each with its audit record."""

from datetime import UTC, datetime

from jobtrail.models.token import Role, Token, valid_token_name
from jobtrail.operations.audit import Actor, AuditBook
from jobtrail.store.access.tokens import TokenRepository
from jobtrail.store.database import Database


async def create_token(
    database: Database,
    audit: AuditBook,
    actor: Actor,
    name: str,
    *,
    role: Role,
    user_id: str | None,
    expires_at: datetime | None,
) -> tuple[Token, str]:
    """Make a token; returns what is stored of it, and the token itself, which can't be read again."""
    await database.ensure_indexes()  # a name is unique by its index
    details = {"role": role.value} | ({"user": user_id} if user_id else {})
    async with audit.act(actor, "token.create", target=name, details=details) as entry:
        token, secret = await TokenRepository(database).create(
            valid_token_name(name), role=role, user_id=user_id, now=datetime.now(UTC), expires_at=expires_at
        )
        entry.details["id"] = token.id
    return token, secret


async def revoke_token(database: Database, audit: AuditBook, actor: Actor, name_or_id: str) -> Token:
    """Revoke a token for good. Raises `NotFoundError` where there is none that could be revoked."""
    async with audit.act(actor, "token.revoke", target=name_or_id) as entry:
        token = await TokenRepository(database).revoke(name_or_id, datetime.now(UTC))
        entry.target = token.name
        entry.details["id"] = token.id
    return token
