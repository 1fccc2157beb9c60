from datetime import UTC, datetime

from jobtrail.models.heartbeat import decode_heartbeat
from jobtrail.models.jobs.status import Status
from jobtrail.models.times import rfc3339
from jobtrail.store.database import Database
from jobtrail.store.extractors import ExtractorRepository
from tests.cli.support import START, update
from tests.heartbeat.support import NOW, beat, captured
from tests.jobs import a_job
from tests.jobs import store as store_jobs

NOTHING_YET = "Required Extractor is either busy or is not currently running. Try after some time."


async def status_of(get, resource_id: str = "resource-1") -> dict[str, str]:
    return await get(f"/api/extractions/{resource_id}/status")


def now_s() -> float:
    """The present, in seconds after the start that `update` counts from."""
    return (datetime.now(UTC) - START).total_seconds()


async def test_a_file_that_nothing_was_heard_of_has_clowders_own_sentence(get, mongo_client, settings) -> None:
    store_jobs(mongo_client[settings.database], a_job("without-updates", Status.STARTED, resource_id="damaged"))

    assert await status_of(get, "a%2Ffile%00") == await status_of(get, "damaged") == {"Status": NOTHING_YET}


async def test_a_file_is_in_process_until_the_last_extractor_has_ended(store, get) -> None:
    await store(
        update("j-1", "SUBMITTED"),
        update("j-2", "StatusMessage.start: Started processing.", extractor_id="ncsa.cv.eyes"),
        update("j-3", "StatusMessage.error: no space left", extractor_id="siegfried"),
        update("j-9", "StatusMessage.start: another file", file_id="resource-2"),
    )
    assert await status_of(get) == {
        "ncsa.wordcount": "SUBMITTED",
        "ncsa.cv.eyes": "StatusMessage.start: Started processing.",
        "siegfried": "StatusMessage.error: no space left",
        "Status": "Processing",
    }

    await store(
        update("j-1", "SKIPPED: nothing to count", 5),
        update("j-2", "StatusMessage.done: Done processing.", 5, extractor_id="ncsa.cv.eyes"),
    )

    assert await status_of(get) == {
        "ncsa.wordcount": "SKIPPED: nothing to count",
        "ncsa.cv.eyes": "DONE",
        "siegfried": "StatusMessage.error: no space left",
        "Status": "Done",
    }


async def test_what_ended_well_is_done_in_whichever_words_and_half_done_is_not(store, get) -> None:
    for extractor, text in (
        ("types", "SUCCEEDED: fine"),
        ("bare", "done"),
        ("free", "Image is Done."),
        ("half", "PROCESSING: half done"),
    ):
        await store(update(f"j-{extractor}", text, extractor_id=extractor))

    assert await status_of(get) == {
        "types": "DONE",
        "bare": "DONE",
        "free": "DONE",
        "half": "PROCESSING: half done",
        "Status": "Processing",
    }


async def test_a_late_update_does_not_open_again_what_has_ended(store, get) -> None:
    await store(update("j-1", "STARTED"), update("j-1", "SUCCEEDED", 5), update("j-1", "PROCESSING: still here", 4))

    assert await status_of(get) == {"ncsa.wordcount": "DONE", "Status": "Done"}


async def test_of_two_jobs_the_newer_is_shown_and_the_older_counts_while_it_runs(store, get) -> None:
    await store(
        update("older", "STARTED", now_s() - 2),
        update("newer", "STARTED", now_s() - 1),
        update("newer", "SUCCEEDED", now_s()),
    )
    assert await status_of(get) == {"ncsa.wordcount": "DONE", "Status": "Processing"}

    await store(update("older", "ERROR: boom", now_s()))
    assert await status_of(get) == {"ncsa.wordcount": "DONE", "Status": "Done"}


async def test_a_job_whose_worker_died_long_ago_holds_up_nothing_once_it_was_done_anew(store, get) -> None:
    await store(update("dead", "STARTED", now_s() - 10_000))
    assert (await status_of(get))["Status"] == "Processing"

    await store(update("again", "STARTED", now_s()), update("again", "SUCCEEDED", now_s()))
    assert (await status_of(get))["Status"] == "Done"


async def test_updates_without_a_job_id_count_too(store, get) -> None:
    await store(
        update(None, "StatusMessage.start: Started processing."),
        update(None, "StatusMessage.processing: Counting", 1),
    )
    assert await status_of(get) == {"ncsa.wordcount": "StatusMessage.processing: Counting", "Status": "Processing"}

    await store(update(None, "StatusMessage.done: Done processing.", 2))
    assert await status_of(get) == {"ncsa.wordcount": "DONE", "Status": "Done"}

    await store(update("j-1", "STARTED: with an id now", 3))
    assert await status_of(get) == {"ncsa.wordcount": "STARTED: with an id now", "Status": "Processing"}


async def test_an_extractor_that_is_called_status_does_not_hide_how_it_is_with_all(store, get) -> None:
    await store(update("j-1", "STARTED: go", extractor_id="Status"))

    assert await status_of(get) == {"Status": "Processing"}


async def test_a_real_pyclowder_is_an_extractor_with_every_field_of_clowder_1(database: Database, get) -> None:
    await ExtractorRepository(database).record([decode_heartbeat(captured()[0], NOW, max_bytes=100_000)])

    [extractor] = await get("/api/extractors")

    assert extractor == {
        "id": extractor["id"],
        "name": "ncsa.wordcount",
        "version": "2.0",
        "updated": rfc3339(NOW),
        "description": "WordCount extractor. Counts words.",
        "author": "Rob Kooper <kooper@illinois.edu>",
        "contributors": [],
        "contexts": [{"lines": "http://clowder.ncsa.illinois.edu/metadata/ncsa.wordcount#lines"}],
        "repository": [{"repType": "git", "repUrl": "https://github.com/clowder-framework/pyclowder.git"}],
        "external_services": [],
        "libraries": [],
        "bibtex": [],
        "maturity": "Development",
        "labels": [],
        "process": {"dataset": [], "file": ["text/*", "application/json"], "metadata": []},
        "categories": ["EXTRACT"],
        "parameters": {},
    }
    assert await get("/api/extractors/ncsa.wordcount") == extractor
    assert extractor["id"] == (await get("/api/v2/listeners/ncsa.wordcount"))["id"]


async def test_what_is_said_in_another_form_is_told_in_clowders_or_not_at_all(database: Database, get) -> None:
    odd = {
        "version": 3.1,
        "author": ["several"],
        "contributors": "Alice",
        "repository": {"repType": "git", "repUrl": "https://example.org/x.git"},
        "libraries": {"gdal": "3"},
        "bibtex": ["@article", 7, None],
        "process": {"file": "image/*", "dataset": [1]},
        "categories": [],
        "parameters": {"schema": {}},
    }
    await ExtractorRepository(database).record([beat(extractor="odd", info=odd)])

    extractor = await get("/api/extractors/odd")

    assert extractor["version"] == "3.1"
    assert (extractor["author"], extractor["contributors"]) == ("", ["Alice"])
    assert extractor["repository"] == [{"repType": "git", "repUrl": "https://example.org/x.git"}]
    assert (extractor["libraries"], extractor["bibtex"]) == ([], ["@article"])
    assert extractor["process"] == {"dataset": [], "file": ["image/*"], "metadata": []}
    assert (extractor["categories"], extractor["parameters"]) == (["EXTRACT"], {"schema": {}})
    assert (await get("/api/v2/listeners/odd"))["properties"]["author"] == ["several"]


async def test_an_unknown_extractor_is_told_as_clowder_1_does(client) -> None:
    answer = await client.get("/api/extractors/nobody%2F%00")

    assert (answer.status_code, answer.json()) == (404, {"status": "KO", "message": "Extractor info not found"})
