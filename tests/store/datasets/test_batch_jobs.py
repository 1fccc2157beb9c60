"""Batch jobs follow the jobs that their job ids name."""

from datetime import UTC, datetime, timedelta

import pytest

from jobtrail.models.datasets.dataset import BATCH_JOB_STATUS
from jobtrail.models.jobs.status import Status
from jobtrail.store.datasets.batch_jobs import BatchJobRepository
from jobtrail.store.datasets.console import Console
from tests.jobs import BEGUN, a_job, store
from tests.reconciler.bench import Bench, Document

S = Status


@pytest.fixture
def batch_jobs(console: Console) -> BatchJobRepository:
    return BatchJobRepository(console)


def make(bench: Bench, job_id: str, status: str = "Pending") -> None:
    bench.batch_jobs.insert_one(
        {"dataset_id": f"of {job_id}", "viewpoint": "front", "job_id": job_id, "status": status, "message": None,
         "progress": None, "created_at": BEGUN, "updated_at": BEGUN}
    )  # fmt: skip


def stored(bench: Bench, job_id: str) -> Document:
    found = bench.batch_jobs.find_one({"job_id": job_id})
    assert found is not None
    return found


async def test_a_batch_job_becomes_what_its_job_is(batch_jobs: BatchJobRepository, bench: Bench) -> None:
    make(bench, "j-1")
    store(bench.trail, a_job("j-1", S.PROCESSING, 7, message="tile 4 of 10", percent=40.0))

    await batch_jobs.follow(["j-1"])

    batch_job = stored(bench, "j-1")
    assert batch_job["updated_at"] == BEGUN + timedelta(seconds=7)
    assert [batch_job[name] for name in ("status", "message", "progress", "created_at", "viewpoint")] == [
        "Running",
        "tile 4 of 10",
        40,
        BEGUN,
        "front",
    ]


@pytest.mark.parametrize("status", Status)
async def test_every_status_of_a_job_is_mapped(batch_jobs: BatchJobRepository, bench: Bench, status: Status) -> None:
    make(bench, "j-1")
    store(bench.trail, a_job("j-1", status))

    await batch_jobs.follow(["j-1"])

    assert stored(bench, "j-1")["status"] == BATCH_JOB_STATUS[status]


async def test_a_complete_batch_job_is_done_to_the_full(batch_jobs: BatchJobRepository, bench: Bench) -> None:
    make(bench, "j-1")
    store(bench.trail, a_job("j-1", S.SUCCEEDED, percent=80.0))

    await batch_jobs.follow(["j-1"])

    assert stored(bench, "j-1")["progress"] == 100


async def test_only_the_named_batch_jobs_are_touched(batch_jobs: BatchJobRepository, bench: Bench) -> None:
    make(bench, "j-1")
    make(bench, "j-2")
    make(bench, "without a job")
    store(bench.trail, *(a_job(job_id, S.STARTED) for job_id in ("j-1", "j-2", "a dataset's own job")))

    await batch_jobs.follow(["j-1", "a dataset's own job", "without a job"])
    await batch_jobs.follow([])

    assert [stored(bench, job_id)["status"] for job_id in ("j-1", "j-2", "without a job")] == [
        "Running",
        "Pending",
        "Pending",
    ]
    assert bench.batch_jobs.count_documents({}) == 3


async def test_following_twice_changes_nothing(batch_jobs: BatchJobRepository, bench: Bench) -> None:
    make(bench, "j-1")
    store(bench.trail, a_job("j-1", S.STARTED))
    await batch_jobs.follow(["j-1"])
    before = stored(bench, "j-1")

    await batch_jobs.follow(["j-1"])

    assert stored(bench, "j-1") == before


async def test_what_was_read_too_long_ago_is_not_written(batch_jobs: BatchJobRepository, bench: Bench) -> None:
    make(bench, "j-1")
    store(bench.trail, a_job("j-1", S.SUCCEEDED, 9, event_count=3))
    await batch_jobs.follow(["j-1"])
    store(bench.trail, a_job("j-1", S.PROCESSING, 5, event_count=2))  # as a slow process may still see it

    await batch_jobs.follow(["j-1"])

    assert stored(bench, "j-1")["status"] == "Complete"


async def test_catching_up_follows_all_unfinished_ones(batch_jobs: BatchJobRepository, bench: Bench) -> None:
    ids = [f"j-{n}" for n in range(1200)]
    at = datetime.now(UTC)
    bench.batch_jobs.insert_many(
        {"dataset_id": job_id, "viewpoint": "front", "job_id": job_id, "status": "Running", "updated_at": at}
        for job_id in ids
    )
    make(bench, "ended", "Failed")
    store(bench.trail, *(a_job(job_id, S.SUCCEEDED) for job_id in [*ids, "ended"]))

    await batch_jobs.catch_up()

    assert bench.batch_jobs.count_documents({"status": "Complete"}) == 1200
    assert stored(bench, "ended")["status"] == "Failed"


async def test_those_that_are_not_finished_are_found_the_oldest_first(
    batch_jobs: BatchJobRepository, bench: Bench
) -> None:
    for number, status in enumerate(("Running", "Complete", "Pending", "Failed", "Skipped", "Cancelled")):
        make(bench, f"j-{number}", status)
    bench.batch_jobs.update_many({}, {"$set": {"wishlist_dataset_history_id": 7}})
    bench.batch_jobs.update_one({"job_id": "j-2"}, {"$set": {"created_at": BEGUN - timedelta(seconds=1)}})

    found = await batch_jobs.unfinished()

    assert [(each.job_id, each.dataset_id, each.viewpoint) for each in found] == [
        ("j-2", "of j-2", "front"),
        ("j-0", "of j-0", "front"),
    ]
