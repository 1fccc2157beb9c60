import pytest

from jobtrail.models.incident import Incident
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from tests.cli.support import JobTrail
from tests.incidents import overtaken, record


@pytest.fixture
async def incident(settings: Settings) -> Incident:
    incident = overtaken()
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await database.ensure_indexes()
        await record(database, incident)
    return incident


def test_an_incident_says_what_happened_until_it_is_acknowledged(jobtrail: JobTrail, incident: Incident) -> None:
    told = jobtrail.json("incidents", "--open")
    text = jobtrail.run("incidents", COLUMNS="80").stdout

    assert [(each["id"], each["missing"], each["detail"]) for each in told["incidents"]] == [
        (incident.id, 1204, incident.detail)
    ]
    for words in (f"✖ {incident.id}  jobtrail.updates  overtaken, 1,204 missing", incident.detail, "--acknowledge ID"):
        assert words in text
    assert f"{incident.id} is acknowledged by cli:" in jobtrail.run("incidents", "--acknowledge", incident.id).stdout
    assert jobtrail.json("incidents", "--open")["incidents"] == []
    assert f"✔ {incident.id}" in jobtrail.run("incidents").stdout
    [record] = jobtrail.json("audit", "--act", "incident.acknowledge")["records"]
    assert (record["target"], record["details"]) == (
        incident.id,
        {"version": "1", "stream": incident.stream},
    )


def test_where_there_are_none_it_is_said_so(jobtrail: JobTrail) -> None:
    assert jobtrail.run("incidents").stdout == "No incidents.\n"
    assert jobtrail.run("incidents", "--acknowledge", "none").returncode == 3


def test_doctor_warns_of_what_nobody_has_acknowledged(jobtrail: JobTrail, incident: Incident) -> None:
    def checked() -> dict[str, str]:
        [check] = [each for each in jobtrail.json("doctor")["checks"] if each["name"] == "incidents"]
        return check

    assert (checked()["outcome"], checked()["found"]) == ("warning", "not acknowledged: 1")
    jobtrail.run("incidents", "--acknowledge", incident.id)
    assert checked()["outcome"] == "ok"
