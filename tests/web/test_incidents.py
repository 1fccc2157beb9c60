"""Incidents are kept with their alerts, listed and acknowledged, over REST and on a page; the overview counts them."""

import httpx
import pytest
from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.incident import Incident, IncidentKind, incident_alert, incident_detail
from jobtrail.models.jobs.status import Status
from jobtrail.models.notifications.alert import Alert, AlertKind
from jobtrail.models.notifications.slack_entries import slack_entries
from jobtrail.models.token import Role
from jobtrail.store.database import Database
from jobtrail.store.log.incidents import IncidentRepository
from jobtrail.store.notifications.outbox import OutboxRepository
from tests.incidents import overtaken, record
from tests.web.api.support import all_pages, assert_problem, get
from tests.web.conftest import Asking, Tokens
from tests.web.pages.seen import seen
from tests.web.pages.trail import tell

PATH = "/api/v1/incidents"


@pytest.fixture
def web(asking: Asking) -> httpx.AsyncClient:
    return asking()


@pytest.fixture
async def incidents(database: Database) -> list[Incident]:
    """Three, the latest first."""
    made = [overtaken(ago_s=ago_s) for ago_s in (0, 10, 20)]
    await record(database, *made)
    return made


@pytest.mark.parametrize(
    ("kind", "told", "words"),
    [
        (
            IncidentKind.OVERTAKEN,
            {"reader": "consumer", "missing": 1204, "from_offset": 5001, "to_offset": 6204},
            "Retention removed up to 1,204 updates (offsets 5,001 to 6,204) of s before they were stored. "
            "Raise JOBTRAIL_STREAM_RETENTION_GB or start more consumers.",
        ),
        (
            IncidentKind.OVERTAKEN,
            {"reader": "forward clowder", "missing": 1, "from_offset": 7, "to_offset": 7},
            "Retention removed up to 1 update (offsets 7 to 7) of s before they were copied by forward clowder. "
            "Raise JOBTRAIL_STREAM_RETENTION_GB or keep the forwarder running.",
        ),
        (
            IncidentKind.RECREATED,
            {"reader": "consumer", "missing": None},
            "s was deleted and recreated. Updates that were not yet stored are gone; how many is unknown.",
        ),
        (
            IncidentKind.CUT,
            {"reader": "consumer", "missing": 0},
            "s lost its end, as after a power failure of the broker. "
            "Nothing is missing: all its updates had been stored.",
        ),
        (
            IncidentKind.RECREATED,
            {"reader": "consumer", "missing": 3},
            "s was deleted and recreated. 3 updates that were not yet stored are gone.",
        ),
    ],
)
def test_what_happened_and_what_to_do_is_said_in_plain_words(
    kind: IncidentKind, told: dict[str, object], words: str
) -> None:
    assert incident_detail(kind, "s", **told) == words  # type: ignore[arg-type]


async def test_each_incident_is_kept_with_an_alert_of_its_own(database: Database) -> None:
    await record(database, overtaken(), overtaken(), slack_channel="#ops")
    entries = await OutboxRepository(database).entries()

    assert len(entries) == 2
    for entry in entries:
        assert isinstance(entry.body, Alert)
        assert (entry.body.kind, entry.body.cause) == (AlertKind.STREAM_INCIDENT, overtaken().detail)
    assert await IncidentRepository(database).unacknowledged() == 2


async def test_of_a_transaction_that_fails_neither_incident_nor_alert_is_kept(database: Database) -> None:
    incident = overtaken()

    async def fail(session: AsyncClientSession) -> None:
        outbox = slack_entries([incident_alert(incident)], "#ops")
        await IncidentRepository(database).add(incident, session, outbox)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.transact(fail)
    assert await IncidentRepository(database).unacknowledged() == 0
    assert await OutboxRepository(database).entries() == []


async def test_incidents_are_listed_page_by_page_the_latest_first(
    web: httpx.AsyncClient, incidents: list[Incident]
) -> None:
    pages = await all_pages(web, "/incidents", "incidents", limit=2)
    assert [[each["id"] for each in page] for page in pages] == [
        [incidents[0].id, incidents[1].id],
        [incidents[2].id],
    ]
    first = pages[0][0]
    assert (first["kind"], first["missing"], first["from_offset"], first["to_offset"]) == (
        "overtaken",
        1204,
        5001,
        6204,
    )
    assert (first["reader"], first["acknowledged_at"]) == ("consumer", None)
    assert_problem(await web.get(PATH, params={"cursor": "x"}), 400)


async def test_who_acknowledges_first_stays_and_leaves_a_record(
    asking: Asking, tokens: Tokens, incidents: list[Incident]
) -> None:
    ann = asking(await tokens.make("ann", role=Role.OPERATOR), web_auth="tokens")
    bob = asking(await tokens.make("bob", role=Role.OPERATOR), web_auth="tokens")
    path = f"{PATH}/{incidents[1].id}/acknowledge"
    told = (await ann.post(path)).json()
    again = (await bob.post(path)).json()

    assert (told["acknowledged_by"], again["acknowledged_by"]) == ("ann", "ann")
    assert told["acknowledged_at"] == again["acknowledged_at"]
    assert [each["id"] for each in (await get(ann, "/incidents", open=True))["incidents"]] == [
        incidents[0].id,
        incidents[2].id,
    ]
    records = (await get(ann, "/audit", act="incident.acknowledge"))["records"]
    assert [(each["who"], each["target"]) for each in reversed(records)] == [
        ("ann", incidents[1].id),
        ("bob", incidents[1].id),
    ]
    assert_problem(await ann.post(f"{PATH}/none/acknowledge"), 404, "no incident 'none'")


async def test_viewers_see_incidents_and_acknowledge_none(
    asking: Asking, tokens: Tokens, incidents: list[Incident]
) -> None:
    viewer = asking(await tokens.make("viewer", user="ann"), web_auth="tokens")
    assert len((await get(viewer, "/incidents"))["incidents"]) == 3
    assert_problem(await viewer.post(f"{PATH}/{incidents[0].id}/acknowledge"), 403, "operator")
    page = await viewer.get("/incidents")
    assert "not yet" in seen(page).text
    assert "/acknowledge" not in page.text


async def test_the_page_says_what_happened_and_takes_an_acknowledgement(
    web: httpx.AsyncClient, incidents: list[Incident]
) -> None:
    page = seen(await web.get("/incidents"))
    assert page.text.count(incidents[0].detail) == 3
    action = f"/incidents/{incidents[0].id}/acknowledge"
    answer = await web.post(action, data=page.form(action))

    assert (answer.status_code, answer.headers["Location"]) == (303, "/incidents")
    assert "by local" in seen(await web.get("/incidents")).text
    assert f'action="{action}"' not in (await web.get("/incidents")).text


async def test_without_incidents_the_page_says_so(web: httpx.AsyncClient) -> None:
    assert "No incidents" in seen(await web.get("/incidents")).text


async def test_the_overview_counts_what_nobody_has_acknowledged(
    web: httpx.AsyncClient, database: Database, incidents: list[Incident]
) -> None:
    await tell(database, [(Status.SUCCEEDED, "done", 60)], job="job-1")
    tile = seen(await web.get("/")).one("a", href="/incidents", of="tile")
    assert (tile.one(of="name").text, tile.one("b").text) == ("Incidents", "3")
    for incident in incidents:
        await IncidentRepository(database).acknowledge(incident.id, "ann")
    assert seen(await web.get("/")).all("a", href="/incidents", of="tile") == []
