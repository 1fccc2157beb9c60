"""Keeps an audit record of what a command changed, until its act keeps it in `operations`."""

from collections.abc import Mapping

from jobtrail.cli.actor import audit_book, this_account
from jobtrail.store.database import Database

ORIGIN = "cli"


async def note(database: Database, act: str, *, target: str, details: Mapping[str, str] | None = None) -> None:
    """Keep a record of what was done."""
    await audit_book(database).note(this_account(), act, target=target, details=details)


def whoever() -> str:
    """Name the account that runs this."""
    return this_account().name
