import json
from datetime import UTC, datetime, timedelta

import pytest

from jobtrail.models.heartbeat import decode_heartbeat
from jobtrail.models.settings import Settings
from jobtrail.models.times import rfc3339
from jobtrail.store.database import Database
from jobtrail.store.extractors import ExtractorRepository
from tests.heartbeat.support import beat, captured

WORDCOUNT_INFO = json.loads(captured()[0])["extractor_info"]


def ago(seconds: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=seconds)


@pytest.fixture
def hear(database: Database):
    """Stores heartbeats as the monitor does."""
    return lambda *beats: ExtractorRepository(database).record(beats)


async def names(get, path: str = "/api/v2/listeners", **query) -> list[str]:
    page = await get(path, **{"limit": 100, **query})
    assert page["metadata"]["total_count"] == len(page["data"])
    return [listener["name"] for listener in page["data"]]


async def test_a_real_pyclowder_is_a_listener_with_every_field_of_clowder_2(hear, get) -> None:
    first, last = ago(30), ago(10)
    await hear(decode_heartbeat(captured()[0], first, max_bytes=100_000))
    await hear(decode_heartbeat(captured()[0], last, max_bytes=100_000))

    page = await get("/api/v2/listeners")

    [listener] = page["data"]
    assert page["metadata"] == {"total_count": 1, "skip": 0, "limit": 2}
    assert len(bytes.fromhex(listener["id"])) == 12
    assert listener == {
        "name": "ncsa.wordcount",
        "version": "2.0",
        "description": "WordCount extractor. Counts words.",
        "access": None,
        "id": listener["id"],
        "creator": None,
        "created": rfc3339(first),
        "modified": rfc3339(first),
        "lastAlive": rfc3339(last),
        "alive": True,
        "active": True,
        "properties": WORDCOUNT_INFO
        | {
            "maturity": "Development",
            "libraries": [],
            "default_labels": [],
            "categories": [],
            "parameters": None,
            "unique_key": None,
        },
    }
    assert await get(f"/api/v2/listeners/{listener['id']}") == listener
    assert await get("/api/v2/listeners/ncsa.wordcount") == listener


async def test_alive_is_who_was_heard_of_within_the_interval_and_did_not_say_goodbye(hear, get) -> None:
    await hear(
        beat(ago(100), extractor="quiet", instance="i-1"),
        beat(ago(1000), extractor="quiet", instance="i-2"),
        beat(ago(400), extractor="silent", instance="i-3"),
        beat(ago(5), extractor="left", instance="i-4", stopping=True),
        beat(ago(6), extractor="replaced", instance="i-5", stopping=True),
        beat(ago(7), extractor="replaced", instance="i-6"),
    )

    assert await names(get, alive_only="true") == ["quiet", "replaced"]
    assert await names(get, alive_only="true", heartbeat_interval=0) == ["quiet", "replaced"]
    assert await names(get, alive_only="true", heartbeat_interval=60) == ["replaced"]
    assert await names(get, alive_only="true", heartbeat_interval=500) == ["quiet", "replaced", "silent"]
    page = await get("/api/v2/listeners", limit=100, heartbeat_interval=60)
    alive = {listener["name"]: listener["alive"] for listener in page["data"]}
    assert alive == {"left": False, "quiet": False, "replaced": True, "silent": False}
    ids = {listener["name"]: listener["id"] for listener in page["data"]}
    assert await get(f"/api/v2/listeners/{ids['quiet']}/status") is True
    assert await get(f"/api/v2/listeners/{ids['quiet']}/status", heartbeat_interval=60) is False
    assert await get("/api/v2/listeners/left/status") is False


async def test_listeners_come_by_name_page_by_page_with_an_id_that_stays(hear, get, settings: Settings) -> None:
    await hear(*(beat(ago(5), extractor=f"x-{n}", instance=f"i-{n}") for n in (3, 1, 4, 2, 5)))

    pages = [await get("/api/v2/listeners", skip=skip, limit=2) for skip in (0, 2, 4, 6)]

    assert [[listener["name"] for listener in page["data"]] for page in pages] == [
        ["x-1", "x-2"],
        ["x-3", "x-4"],
        ["x-5"],
        [],
    ]
    assert {page["metadata"]["total_count"] for page in pages} == {5}
    before = pages[0]["data"][0]["id"]
    await hear(beat(ago(1), extractor="x-1", instance="i-9", version="7.1"))
    later = await get(f"/api/v2/listeners/{before}")
    assert (later["id"], later["name"], later["version"]) == (before, "x-1", "7.1")


async def test_listeners_are_found_by_category_label_and_what_they_work_on(hear, get) -> None:
    await hear(
        beat(
            extractor="a", instance="1", info={"categories": ["EXTRACT", "CONVERT"], "process": {"file": ["image/*"]}}
        ),
        beat(extractor="b", instance="2", info={"categories": "CONVERT", "process": {"dataset": ["file.added"]}}),
        beat(extractor="c", instance="3", info={"default_labels": ["ocr", "text"], "process": {}}),
        beat(extractor="d", instance="4", info={"categories": 7, "default_labels": [None, "ocr"], "process": "all"}),
    )

    assert await names(get, category="CONVERT") == ["a", "b"]
    assert await names(get, category="convert") == []
    assert await names(get, label="ocr") == ["c", "d"]
    assert await names(get, label="ocr", category="EXTRACT") == []
    assert await names(get, process="file") == ["a", "c"]
    assert await names(get, process="dataset") == ["b", "c"]
    assert await names(get, process="anything", category="", label="") == ["a", "b", "c", "d"]
    assert await names(get, all="true", dataset_id="d-1") == ["a", "b", "c", "d"]
    assert await get("/api/v2/listeners/categories") == ["CONVERT", "EXTRACT"]
    assert await get("/api/v2/listeners/defaultLabels") == ["ocr", "text"]


async def test_listeners_are_searched_by_a_part_of_name_or_description(hear, get) -> None:
    search = "/api/v2/listeners/search"
    await hear(
        beat(extractor="ncsa.wordcount", instance="1", info={"description": "Counts (all) words", "process": {}}),
        beat(extractor="ncsa.ocr", instance="2", info={"description": "Reads WORDS in images"}),
        beat(extractor="siegfried", instance="3", info={"description": ["no text"]}),
    )

    assert await names(get, search, text="WORD") == ["ncsa.ocr", "ncsa.wordcount"]
    assert await names(get, search, text="NCSA.o") == ["ncsa.ocr"]
    assert await names(get, search, text="(all)") == ["ncsa.wordcount"]
    assert await names(get, search, text=".*") == await names(get, search, text="no text") == []
    assert await names(get, search, text="word", process="file") == ["ncsa.wordcount"]
    assert await names(get, search) == ["ncsa.ocr", "ncsa.wordcount", "siegfried"]
    page = await get(search, text="word", skip=1, limit=1)
    assert page["metadata"] == {"total_count": 2, "skip": 1, "limit": 1}
    assert [listener["name"] for listener in page["data"]] == ["ncsa.wordcount"]


async def test_the_owner_in_the_heartbeats_is_the_owner_in_clowder(hear, get) -> None:
    await hear(beat(ago(5), extractor="mine", owner="alice@example.org"), beat(ago(5), extractor="ours", instance="2"))

    [mine, ours] = (await get("/api/v2/listeners"))["data"]

    assert mine["access"] == {"owner": "alice@example.org", "users": [], "groups": [], "datasets": []}
    assert ours["access"] is None


async def test_an_unknown_listener_is_told_as_clowder_does(client) -> None:
    for path, told in (("5cb2d2d3a4be0f9fd3400001", "5cb2d2d3a4be0f9fd3400001"), ("a%2F%00b", "a/\0b")):
        for what in ("", "/status"):
            answer = await client.get(f"/api/v2/listeners/{path}{what}")
            assert (answer.status_code, answer.json()) == (404, {"detail": f"listener {told} not found"})


async def test_an_absurd_parameter_is_refused_as_fastapi_does(client) -> None:
    for name, value in (
        ("skip", "-1"),
        ("limit", "0"),
        ("limit", "1001"),
        ("heartbeat_interval", "-1"),
        ("heartbeat_interval", "604801"),
        ("alive_only", "perhaps"),
    ):
        answer = await client.get("/api/v2/listeners", params={name: value})

        assert answer.status_code == 422, (name, value)
        assert [problem["loc"] for problem in answer.json()["detail"]] == [["query", name]]
