"""Who runs a command, and where it puts what it changed on record."""

import os
import pwd
import sys

from jobtrail.models.audit import AuditRecord
from jobtrail.models.errors import JobTrailError
from jobtrail.models.token import Role
from jobtrail.operations.audit import Actor, AuditBook
from jobtrail.store.access.audit import AuditRepository
from jobtrail.store.database import Database


def this_account() -> Actor:
    """Name the account that runs this; not by the environment, which says what somebody wants it to."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"uid-{os.getuid()}"
    return Actor(name=f"cli:{name}", role=Role.OPERATOR, user_id=None, origin="cli")


def audit_book(database: Database) -> AuditBook:
    """Make what puts a command's acts on record; it warns on stderr where that fails."""
    return AuditBook(AuditRepository(database), warn)


def warn(record: AuditRecord, error: JobTrailError) -> None:
    """Warn on stderr that an act has no record."""
    sys.stderr.write(f"jobtrail: warning: no audit record of {record.act} was kept: {error}\n")
