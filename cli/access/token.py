"""`jobtrail token`: the bearer tokens by which the web knows who asks."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from jobtrail.cli.actor import audit_book, this_account
from jobtrail.cli.command_group import JsonOption, examples
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, make_table, write_json
from jobtrail.cli.output.formats import one_line, parse_expiry
from jobtrail.cli.output.palette import BAD, GOOD, QUIET
from jobtrail.models.errors import SettingError
from jobtrail.models.times import clock, relative, rfc3339
from jobtrail.models.token import Role, Token, valid_token_name
from jobtrail.operations.token_acts import create_token, revoke_token
from jobtrail.store.access.tokens import TokenRepository

token = typer.Typer(
    no_args_is_help=True,
    help="Make, list and revoke the bearer tokens by which the web knows who asks.",
    epilog=examples(
        "jobtrail token create alice-laptop --user alice --expires 90d",
        "jobtrail token list",
        "jobtrail token revoke alice-laptop",
    ),
)


@token.command(epilog=examples("jobtrail token create alice-laptop --user alice --expires 90d"))
def create(
    name: Annotated[str, typer.Argument(help="The token's name: letters, digits and . _ @ -", metavar="NAME")],
    user: Annotated[
        str | None, typer.Option(help="The user that it acts for: an id of the console.", metavar="ID")
    ] = None,
    role: Annotated[
        Role, typer.Option(help="viewer: see what concerns the user. operator: see everything, and change it.")
    ] = Role.VIEWER,
    expires: Annotated[
        str | None, typer.Option(help="When it expires: after 12h, 90d, 52w. Without this it does not.", metavar="AGE")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it. It is shown only this once: JobTrail stores its hash."""
    if user == "":
        raise SettingError("--user must be the id of a user")
    expires_at = parse_expiry(expires, datetime.now(UTC)) if expires else None
    made, secret = run_interruptible(_create(valid_token_name(name), role, user, expires_at))
    if as_json:
        write_json({"token": secret, **_json(made)})
    else:
        _print_created(made, secret)


@token.command("list", epilog=examples("jobtrail token list --json"))
def list_(as_json: JsonOption = False) -> None:
    """List the tokens, including those that are expired or revoked."""
    found = run_interruptible(_read())
    if as_json:
        write_json({"tokens": [_json(each) for each in found]})
    else:
        _print(found)


@token.command(epilog=examples("jobtrail token revoke alice-laptop"))
def revoke(
    name_or_id: Annotated[str, typer.Argument(help="Its name, or its id as list --json shows it.", metavar="NAME|ID")],
    as_json: JsonOption = False,
) -> None:
    """Revoke a token: from now on it is refused."""
    revoked = run_interruptible(_revoke(name_or_id))
    if as_json:
        write_json(_json(revoked))
    else:
        make_console().print(f"Token {revoked.name} ({revoked.id}) is revoked.")


async def _create(name: str, role: Role, user_id: str | None, expires_at: datetime | None) -> tuple[Token, str]:
    async with open_database(current_settings()) as database:
        return await create_token(
            database, audit_book(database), this_account(), name, role=role, user_id=user_id, expires_at=expires_at
        )


async def _read() -> Sequence[Token]:
    async with open_database(current_settings()) as database:
        return await TokenRepository(database).list()


async def _revoke(name_or_id: str) -> Token:
    async with open_database(current_settings()) as database:
        return await revoke_token(database, audit_book(database), this_account(), name_or_id)


def _print_created(token: Token, secret: str) -> None:
    """Print a new token on stdout, alone, so that it can be piped; what there is to know goes to stderr."""
    sys.stdout.write(f"{secret}\n")
    sys.stdout.flush()
    whose = f" of user {one_line(token.user_id)}" if token.user_id is not None else ""
    until = f", until {clock(token.expires_at)}" if token.expires_at else ""
    notes = make_console(stderr=True)
    notes.print(f"Token {token.name} ({token.id}): {token.role}{whose}{until}.")
    notes.print(Text("  It is shown only this once. Send it as:  Authorization: Bearer …", style=QUIET))
    notes.print(Text(f"  Revoke it with:                          jobtrail token revoke {token.name}", style=QUIET))


def _json(token: Token) -> dict[str, object]:
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


def _print(found: Sequence[Token]) -> None:
    """Print tokens as a table."""
    console = make_console()
    if not found:
        console.print("No tokens yet.")
        console.print(Text("  Create one:  jobtrail token create NAME --user ID", style=QUIET))
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
