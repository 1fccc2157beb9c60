"""Who changed what, when, and from where, is kept and shown."""

import getpass
import json
from datetime import UTC, datetime, timedelta

import httpx
import pika
import pytest
from pymongo import MongoClient

from jobtrail.cli.actor import audit_book, this_account
from jobtrail.models.audit import AuditFilter, AuditRecord, Outcome
from jobtrail.models.errors import SettingError
from jobtrail.models.settings import Settings
from jobtrail.models.token import Role
from jobtrail.operations.audit import AuditBook
from jobtrail.store.access.audit import AuditRepository
from jobtrail.store.database import Database
from jobtrail.web.auth.identity import Identity
from tests.cli.support import JobTrail, environment_of
from tests.support import Names
from tests.web.conftest import Asking, Tokens

NOW = datetime(2026, 11, 22, 0, 14, 36, tzinfo=UTC)
ANN = Identity(name="ann-laptop", role=Role.OPERATOR, user_id="ann", origin="192.0.2.7")


def record(act: str, after_s: float = 0, **fields: object) -> AuditRecord:
    told = {"who": "ann", "role": Role.OPERATOR, "user_id": None, "target": "t", "origin": "192.0.2.7"} | fields
    return AuditRecord(at=NOW + timedelta(seconds=after_s), act=act, **told)  # type: ignore[arg-type]


@pytest.fixture
def records(database: Database) -> AuditRepository:
    return AuditRepository(database)


async def test_a_record_says_who_did_what_when_and_from_where(records: AuditRepository) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    await AuditBook(records).note(
        ANN, "job.cancel", target="job-1", outcome=Outcome.REFUSED, details={"queue": "amqp://u:hunter2@h/"}
    )

    [kept] = (await records.list(AuditFilter(), limit=10)).rows
    assert before <= kept.at <= datetime.now(UTC)
    assert (kept.who, kept.role, kept.user_id, kept.origin) == ("ann-laptop", Role.OPERATOR, "ann", "192.0.2.7")
    assert (kept.act, kept.target, kept.outcome) == ("job.cancel", "job-1", Outcome.REFUSED)
    assert kept.details == {"version": "1", "queue": "amqp://u:***@h/"}


async def test_records_are_listed_by_page_the_latest_first_and_by_index(
    records: AuditRepository, mongo_client: MongoClient, settings: Settings
) -> None:
    for number in range(7):
        await records.insert(record("login" if number % 2 else "logout", number // 2, target=str(number)))

    seen, cursor = [], None
    for _ in range(4):
        page = await records.list(AuditFilter(), limit=2, cursor=cursor)
        seen += [each.target for each in page.rows]
        cursor = page.next
    assert cursor is None
    assert sorted(seen) == [str(number) for number in range(7)]
    assert [int(target) // 2 for target in seen] == [3, 2, 2, 1, 1, 0, 0]
    logins = await records.list(AuditFilter(act="login", since=NOW + timedelta(seconds=1)), limit=9)
    assert [each.target for each in logins.rows] == ["5", "3"]
    with pytest.raises(SettingError):
        await records.list(AuditFilter(), limit=2, cursor="nonsense")
    audit = mongo_client[settings.database].audit
    for query, index in (({}, "latest"), ({"act": "login"}, "act")):
        plan = audit.find(query).sort([("at", -1), ("_id", -1)]).explain()["queryPlanner"]["winningPlan"]
        assert plan["inputStage"]["indexName"] == index


async def test_logins_and_logouts_leave_records_and_no_secret(
    asking: Asking, tokens: Tokens, records: AuditRepository, mongo_client: MongoClient, settings: Settings
) -> None:
    secret = await tokens.make("ann-laptop", user="ann")
    web = asking(address="192.0.2.7")
    wrong = f"{secret[:-1]}!"
    await web.post("/login", data={"token": wrong})
    await web.post("/login", data={"token": secret})
    cookie = web.cookies["jobtrail"]
    await web.post("/logout", headers={"Authorization": f"Bearer {secret}"})

    kept = (await records.list(AuditFilter(), limit=10)).rows
    assert [(each.act, each.who, each.outcome, each.origin) for each in reversed(kept)] == [
        ("login", "nobody", Outcome.REFUSED, "192.0.2.7"),
        ("login", "ann-laptop", Outcome.DONE, "192.0.2.7"),
        ("logout", "ann-laptop", Outcome.DONE, "192.0.2.7"),
    ]
    stored = str(list(mongo_client[settings.database].audit.find()))
    for hidden in (secret, wrong, cookie, cookie.partition(".")[0]):
        assert hidden not in stored


async def test_what_can_not_be_kept_is_told_and_stops_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    async with Database("mongodb://u:hunter2@127.0.0.1:9/", "x", timeout_s=0.1) as away:
        await AuditBook(AuditRepository(away)).note(ANN, "job.cancel", target="job-1")
        await audit_book(away).note(this_account(), "job.submit", target="job-2")

    told = capsys.readouterr()
    for words in ("web.audit_lost", "ann-laptop", "job.cancel", "job-1", "192.0.2.7"):
        assert words in told.out
    assert "jobtrail: warning: no audit record of job.submit was kept: MongoDB can't be reached" in told.err
    assert "hunter2" not in told.out + told.err


async def test_the_page_shows_records_as_text_to_operators_only(
    asking: Asking, tokens: Tokens, records: AuditRepository
) -> None:
    web = asking()
    assert "Nothing on record yet" in (await web.get("/audit")).text
    for number in range(60):
        await records.insert(record("job.cancel", number, target=f"job-{number:02}"))
    await records.insert(record("job.submit", -1, target="<script>alert(1)</script>", details={"user": "<b>"}))

    first = await web.get("/audit")
    assert "job-59" in first.text
    assert "job-09" not in first.text
    [older] = [line for line in first.text.split('"') if line.startswith("/audit?cursor=")]
    second = await web.get(older)
    assert "job-09" in second.text
    assert "&lt;script&gt;" in second.text
    assert "<script>alert" not in second.text
    one = await web.get("/audit", params={"act": "job.submit"})
    assert "job-59" not in one.text
    assert "job.submit" in one.text
    assert "No such records" in (await web.get("/audit", params={"act": "no.such"})).text
    assert (await web.get("/audit", params={"cursor": "nonsense"})).status_code == 400
    viewer: httpx.AsyncClient = asking(await tokens.make())
    assert (await viewer.get("/audit")).status_code == 403


def test_commands_that_change_something_leave_records(settings: Settings, names: Names, amqp_url: str) -> None:
    jobtrail = JobTrail(environment_of(settings))
    queue = names.queue("work")
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        for name in (queue, settings.reply_stream):
            connection.channel().queue_declare(name, durable=True)
    assert "No such record" in jobtrail.run("audit").stdout
    secret = jobtrail.json("token", "create", "ci", "--role", "operator", "--user", "ann")["token"]
    job_id = jobtrail.json("submit", queue, "file-1")["job_id"]
    jobtrail.json("cancel", job_id, "--queue", queue)
    jobtrail.json("token", "revoke", "ci")

    told = jobtrail.json("audit", "--since", "1h", "--limit", "3")
    rest = jobtrail.json("audit", "--cursor", told["next"])
    assert rest["next"] is None
    kept = [*told["records"], *rest["records"]]
    assert [(each["act"], each["target"]) for each in kept] == [
        ("token.revoke", "ci"),
        ("job.cancel", job_id),
        ("job.submit", job_id),
        ("token.create", "ci"),
    ]
    for each in kept:
        assert (each["who"], each["role"], each["origin"], each["outcome"]) == (
            f"cli:{getpass.getuser()}",
            "operator",
            "cli",
            "done",
        )
        assert each["at"].endswith("Z")
    assert secret not in json.dumps(kept)
    table = jobtrail.run("audit", "--act", "job.cancel", COLUMNS="100").stdout
    assert "✔ done" in table
    assert job_id in table
    assert "job.submit" not in table


def test_a_command_that_can_keep_no_record_says_so(settings: Settings, names: Names, amqp_url: str) -> None:
    jobtrail = JobTrail(environment_of(settings))
    queue = names.queue("work")
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        for name in (queue, settings.reply_stream):
            connection.channel().queue_declare(name, durable=True)

    submitted = jobtrail.run("submit", queue, "file-1", JOBTRAIL_MONGO_URL=None)
    job_id = submitted.stdout.strip()
    cancelled = jobtrail.run("cancel", job_id, "--queue", queue, "--json", JOBTRAIL_MONGO_URL=None)

    for act, done in (("job.submit", submitted), ("job.cancel", cancelled)):
        assert done.returncode == 0, done.stderr
        assert f"warning: no audit record of {act} was kept: JOBTRAIL_MONGO_URL is not set" in done.stderr
    assert json.loads(cancelled.stdout)["job_id"] == job_id
