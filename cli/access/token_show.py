"""Makes, reads and revokes tokens, and prints them: as JSON, or as a table."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.text import Text

from jobtrail.cli.access.audit_log_note import note
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.output.console import make_console, make_table, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, GOOD, QUIET
from jobtrail.models.times import clock, relative, rfc3339
from jobtrail.models.token import Role, Token
from jobtrail.store.access.tokens import TokenRepository

JsonObject = dict[str, object]


async def create_token(
    name: str, *, role: Role, user_id: str | None, now: datetime, expires_at: datetime | None
) -> tuple[Token, str]:
    """Make a token; see `TokenRepository.create`."""
    async with open_database(current_settings()) as database:
        await database.ensure_indexes()  # a name is unique by its index
        tokens = TokenRepository(database)
        token, secret = await tokens.create(name, role=role, user_id=user_id, now=now, expires_at=expires_at)
        details = {"id": token.id, "role": token.role.value} | ({"user": user_id} if user_id else {})
        await note(database, "token.create", target=token.name, details=details)
        return token, secret


async def read_tokens() -> Sequence[Token]:
    """Read all tokens; see `TokenRepository.list`."""
    async with open_database(current_settings()) as database:
        return await TokenRepository(database).list()


async def revoke_token(name_or_id: str) -> Token:
    """Revoke a token; see `TokenRepository.revoke`."""
    async with open_database(current_settings()) as database:
        token = await TokenRepository(database).revoke(name_or_id, datetime.now(UTC))
        await note(database, "token.revoke", target=token.name, details={"id": token.id})
        return token


def print_created(token: Token, secret: str) -> None:
    """Print a new token on stdout, alone, so that it can be piped; what there is to know goes to stderr."""
    sys.stdout.write(f"{secret}\n")
    sys.stdout.flush()
    whose = f" of user {one_line(token.user_id)}" if token.user_id is not None else ""
    until = f", until {clock(token.expires_at)}" if token.expires_at else ""
    notes = make_console(stderr=True)
    notes.print(f"Token {token.name} ({token.id}): {token.role}{whose}{until}.")
    notes.print(Text("  It is shown this once. Send it as:  Authorization: Bearer …", style=QUIET))
    notes.print(Text(f"  End it with:                        jobtrail token revoke {token.name}", style=QUIET))


def print_created_json(token: Token, secret: str) -> None:
    """Print a new token as one JSON object, `token` being the token itself."""
    write_json({"token": secret, **token_json(token)})


def print_revoked(token: Token) -> None:
    """Print that a token opens nothing any more."""
    make_console().print(f"Token {token.name} ({token.id}) is revoked.")


def print_token_json(token: Token) -> None:
    """Print one token as one JSON object."""
    write_json(token_json(token))


def print_tokens_json(found: Sequence[Token]) -> None:
    """Print tokens as one JSON object."""
    write_json({"tokens": [token_json(token) for token in found]})


def token_json(token: Token) -> JsonObject:
    """Make the JSON of what is stored of a token."""
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role.value,
        "user_id": token.user_id,
        "created_at": rfc3339(token.created_at),
        "last_used_at": rfc3339(token.last_used_at),
        "expires_at": rfc3339(token.expires_at),
        "revoked_at": rfc3339(token.revoked_at),
        "valid": token.is_valid(datetime.now(UTC)),
    }


def print_tokens(found: Sequence[Token]) -> None:
    """Print tokens as a table."""
    console = make_console()
    if not found:
        console.print("There is no token yet.")
        console.print(Text("  Make one with:  jobtrail token create NAME --user ID", style=QUIET))
        return
    now = datetime.now(UTC)
    table = make_table()
    for heading in ("NAME", "ROLE", "USER", "CREATED", "LAST USED", "STATE"):
        fold = heading in ("NAME", "USER", "STATE")
        table.add_column(heading, overflow="fold", no_wrap=not fold, min_width=8)
    for token in found:
        table.add_row(
            token.name,
            token.role.value,
            Text("-", style=QUIET) if token.user_id is None else one_line(token.user_id),
            relative(token.created_at, now),
            relative(token.last_used_at, now) if token.last_used_at else Text("never", style=QUIET),
            _state(token, now),
        )
    console.print(table)


def _state(token: Token, now: datetime) -> Text:
    if token.revoked_at is not None:
        return Text(f"✖ revoked {relative(token.revoked_at, now)}", style=BAD)
    if token.expires_at is None:
        return Text("● valid", style=GOOD)
    if not token.is_valid(now):
        return Text(f"✖ expired {relative(token.expires_at, now)}", style=BAD)
    return Text(f"● valid, ends {relative(token.expires_at, now)}", style=GOOD)
