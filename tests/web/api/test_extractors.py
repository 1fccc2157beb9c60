"""Extractors with their instances and versions."""

import json
from datetime import UTC, datetime, timedelta

import httpx

from jobtrail.models.heartbeat import Heartbeat
from jobtrail.store.database import Database
from jobtrail.store.extractors import ExtractorRepository
from tests.web.api.support import assert_problem, get


def beat(instance: str, version: str, age_s: float, **fields: object) -> Heartbeat:
    info = {"name": "ncsa/wordcount", "version": version, "description": f"Counts words, {version}."}
    return Heartbeat(
        instance_id=instance,
        extractor="ncsa/wordcount",
        version=version,
        info_json=json.dumps(info),
        received_at=datetime.now(UTC) - timedelta(seconds=age_s),
        **fields,  # type: ignore[arg-type]
    )


async def test_extractors_tell_their_versions_and_which_instances_are_online(
    api: httpx.AsyncClient, database: Database
) -> None:
    extractors = ExtractorRepository(database)
    await extractors.record(
        [beat("old", "1.0", 3600, host="h1", stopping=True), beat("new", "2.0", 1, jobs=("job-1",))]
    )
    await extractors.note_watch("any", datetime.now(UTC))

    [listed] = (await get(api, "/extractors"))["extractors"]
    shown = await get(api, "/extractors/ncsa%2Fwordcount")

    for told in (listed, shown):
        assert (told["name"], told["version"], told["online"]) == ("ncsa/wordcount", "2.0", True)
        assert told["description"] == "Counts words, 2.0."
        assert [each["version"] for each in told["versions"]] == ["2.0", "1.0"]
        assert [(each["id"], each["online"], each["jobs"]) for each in told["instances"]] == [
            ("new", True, ["job-1"]),
            ("old", False, None),
        ]
        assert all(each["evidence"] and each["basis"] for each in told["instances"])
    assert_problem(await api.get("/api/v1/extractors/nobody"), 404, "nobody")
