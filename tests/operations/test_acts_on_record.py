"""Acts leave one record each, whether they are done or refused."""

from collections.abc import Awaitable, Callable

import pytest

from jobtrail.models.audit import AuditFilter, Outcome
from jobtrail.models.errors import JobTrailError
from jobtrail.models.token import Role
from jobtrail.operations.audit import Actor, AuditBook
from jobtrail.operations.incident_acts import acknowledge_incident
from jobtrail.operations.notification_acts import retry_messages
from jobtrail.operations.token_acts import create_token, revoke_token
from jobtrail.store.access.audit import AuditRepository
from jobtrail.store.database import Database
from jobtrail.store.log.incidents import IncidentRepository
from jobtrail.store.notifications.outbox import OutboxRepository

ANN = Actor(name="cli:ann", role=Role.OPERATOR, user_id=None, origin="cli")
Act = Callable[[Database, AuditBook], Awaitable[object]]


async def make(database: Database, book: AuditBook) -> object:
    return await create_token(database, book, ANN, "ci", role=Role.VIEWER, user_id="ann", expires_at=None)


@pytest.mark.parametrize(
    ("name", "target", "act"),
    [
        ("token.create", "ci", make),
        ("token.revoke", "nothing", lambda database, book: revoke_token(database, book, ANN, "nothing")),
        (
            "outbox.retry",
            "k-1 k-2",
            lambda database, book: retry_messages(OutboxRepository(database), book, ANN, ["k-1", "k-2"]),
        ),
        (
            "incident.acknowledge",
            "i-1",
            lambda database, book: acknowledge_incident(IncidentRepository(database), book, ANN, "i-1"),
        ),
    ],
)
async def test_a_refused_act_is_on_record_with_the_reason(database: Database, name: str, target: str, act: Act) -> None:
    records = AuditRepository(database)
    book = AuditBook(records)
    await make(database, book)  # so that the name is taken
    with pytest.raises(JobTrailError) as raised:
        await act(database, book)
    latest = (await records.list(AuditFilter(act=name), limit=1)).rows[0]
    assert (latest.outcome, latest.target, latest.who) == (Outcome.REFUSED, target, "cli:ann")
    assert latest.details["why"] == str(raised.value)


async def test_a_revoked_token_is_on_record_by_its_name(database: Database) -> None:
    records = AuditRepository(database)
    book = AuditBook(records)
    await make(database, book)
    (made,) = (await records.list(AuditFilter(), limit=5)).rows
    await revoke_token(database, book, ANN, made.details["id"])
    revoked, _made = (await records.list(AuditFilter(), limit=5)).rows
    assert (revoked.act, revoked.target, revoked.details) == (
        "token.revoke",
        "ci",
        {"version": "1", "id": made.details["id"]},
    )
    assert made.details == {"version": "1", "id": made.details["id"], "role": "viewer", "user": "ann"}
