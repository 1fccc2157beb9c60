"""Keeps an audit record of what a command changed."""

import os
import pwd
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from jobtrail.cli.context import open_database
from jobtrail.models.audit import AuditRecord
from jobtrail.models.errors import SettingError, StoreError
from jobtrail.models.settings import Settings
from jobtrail.models.token import Role
from jobtrail.store.access.audit import AuditRepository
from jobtrail.store.database import Database

ORIGIN = "cli"
"""From where commands act, in records."""


async def note(database: Database, act: str, *, target: str, details: Mapping[str, str] | None = None) -> None:
    """Keep a record of what was done. Where it can't be kept, that is said on stderr; what was done is done.

    Args:
        database: The trail's database.
        act: What was done, such as `token.create`.
        target: To what.
        details: What else there is to know, without secrets.
    """
    record = AuditRecord(
        at=datetime.now(UTC),
        who=whoever(),
        role=Role.OPERATOR,
        user_id=None,
        act=act,
        target=target,
        origin=ORIGIN,
        details=details or {},
    )
    try:
        await AuditRepository(database).insert(record)
    except StoreError as error:
        _warn(str(error))


async def note_by_itself(
    settings: Settings, act: str, *, target: str, details: Mapping[str, str] | None = None
) -> None:
    """Keep a record of what was done without the database; see `note`.

    Args:
        settings: The settings; they may name no database.
        act: What was done, such as `job.cancel`.
        target: To what.
        details: What else there is to know, without secrets.
    """
    try:
        database = open_database(settings)
    except SettingError as error:
        _warn(str(error))
        return
    async with database:
        await note(database, act, target=target, details=details)


def whoever() -> str:
    """Name the account that runs this; not by the environment, which says what somebody wants it to.

    Returns:
        Such as `cli:alice`.
    """
    try:
        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"cli:uid-{os.getuid()}"


def _warn(reason: str) -> None:
    sys.stderr.write(f"jobtrail: warning: no audit record was kept: {reason}\n")
