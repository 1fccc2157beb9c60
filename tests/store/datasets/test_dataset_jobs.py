"""The jobs that speak for datasets, as they are read from the database."""

from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobtrail.models.datasets.jobs import answer_by_jobs
from jobtrail.models.jobs.job import JobState, ProducerProgress
from jobtrail.models.jobs.status import Status
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.jobs import DatasetJobs
from jobtrail.store.jobs.documents import job_document
from tests.jobs import BEGUN, a_job, store
from tests.reconciler.bench import Bench

S = Status
QUIET_S = 60.0
LATER = BEGUN + timedelta(seconds=30)


def after(at_s: float) -> datetime:
    return BEGUN + timedelta(seconds=at_s)


async def read_ids(console: Console, dataset_id: str = "d-1") -> set[str]:
    return {job.job_id for job in (await DatasetJobs(console).read([dataset_id]))[dataset_id]}


async def test_of_thousands_of_jobs_only_those_that_speak_are_read(console: Console, bench: Bench) -> None:
    old = [a_job(f"old-{n}", S.SUCCEEDED, n, extractor_id=f"x{n % 2}") for n in range(3000)]
    store_many(bench, old)
    store(bench.trail, a_job("at-work", S.PROCESSING, 1, extractor_id="x0"))

    assert await read_ids(console) == {"old-2998", "old-2999", "at-work"}


async def test_each_dataset_has_its_own_jobs_and_one_without_jobs_has_none(console: Console, bench: Bench) -> None:
    ids = [f"d-{n}" for n in range(450)]
    store_many(bench, [a_job(f"j-{n}", S.STARTED, resource_id=f"d-{n}") for n in range(449)])

    jobs = await DatasetJobs(console).read(ids)

    assert {dataset_id: [job.job_id for job in found] for dataset_id, found in jobs.items()} == {
        **{f"d-{n}": [f"j-{n}"] for n in range(449)},
        "d-449": [],
    }


async def test_jobs_of_batch_jobs_and_cancelled_jobs_do_not_speak(console: Console, bench: Bench) -> None:
    bench.batch_jobs.insert_one({"dataset_id": "d-1", "viewpoint": "front", "job_id": "batch"})
    store(bench.trail, a_job("batch", S.ERROR, 3), a_job("cancelled", S.CANCELLED, 2), a_job("own", S.SUCCEEDED, 1))

    assert await read_ids(console) == {"own"}


async def test_a_job_is_read_as_it_is_without_its_senders_numbering(console: Console, bench: Bench) -> None:
    job = a_job("j", S.PROCESSING, percent=40.0, user_id="ada", producers={"p": ProducerProgress(highest=9)})
    store(bench.trail, job)

    (found,) = (await DatasetJobs(console).read(["d-1"]))["d-1"]

    job.producers = {}
    assert found == job


async def test_jobs_are_found_by_the_index_on_their_resource(console: Console, bench: Bench) -> None:
    store_many(bench, [a_job(f"j-{n}", S.SUCCEEDED, resource_id=f"d-{n}") for n in range(2000)])
    bench.trail.command("profile", 2)

    await DatasetJobs(console).read(["d-1", "d-2"])

    bench.trail.command("profile", 0)
    (read,) = bench.trail["system.profile"].find({"command.aggregate": "jobs"})
    assert read["docsExamined"] == 2


async def test_open_datasets_are_told_from_closed_ones_and_from_files(console: Console, bench: Bench) -> None:
    for dataset_id, status in (("p", "Pending"), ("a", "Analyzing"), ("c", "Complete"), ("f", "Failed")):
        bench.dataset(dataset_id, status=status)
    datasets = DatasetJobs(console)

    assert set(await datasets.open_ids()) == {"p", "a"}
    assert set(await datasets.open_ids({"a", "c", "f", "a-file"})) == {"a"}
    assert await datasets.open_ids(set()) == []


seconds = st.integers(0, 4)
jobs_of_a_dataset = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(Status), seconds, seconds, st.none() | st.integers(0, 100)),
    max_size=8,
).map(
    lambda parts: [
        a_job(f"j{n}", status, seen_s, updated_at=after(updated_s), extractor_id=extractor, percent=percent)
        for n, (extractor, status, seen_s, updated_s, percent) in enumerate(parts)
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(jobs=jobs_of_a_dataset, required=st.sets(st.sampled_from("abc")))
async def test_what_is_read_says_the_same_as_all_jobs_would(
    console: Console, bench: Bench, jobs: list[JobState], required: set[str]
) -> None:
    bench.trail["jobs"].delete_many({})
    store_many(bench, jobs)

    read = (await DatasetJobs(console).read(["d-1"]))["d-1"]

    assert answer_by_jobs(read, required, LATER, QUIET_S) == answer_by_jobs(jobs, required, LATER, QUIET_S)


def store_many(bench: Bench, jobs: list[JobState]) -> None:
    if jobs:
        bench.trail["jobs"].insert_many(job_document(job) for job in jobs)
