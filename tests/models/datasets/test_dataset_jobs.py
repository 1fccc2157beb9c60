"""What the jobs on a dataset say of its status."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtrail.models.datasets.dataset import Answer, DatasetStatus, StatusSource
from jobtrail.models.datasets.jobs import AT_WORK, MAX_MESSAGE_CHARS, answer_by_jobs
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status
from tests.jobs import BEGUN, a_job

S, D = Status, DatasetStatus
QUIET_S = 60.0


def told(jobs: Sequence[JobState], required: Collection[str] = (), at_s: float = 0, quiet_s: float = QUIET_S) -> Answer:
    answer = answer_by_jobs(jobs, required, BEGUN + timedelta(seconds=at_s), quiet_s).answer
    assert answer is not None
    return answer


def on(extractor: str, status: Status, at_s: float = 0, **fields: object) -> JobState:
    return a_job(f"{extractor}-{status}-{at_s:g}", status, at_s, extractor_id=extractor, **fields)


def test_without_jobs_there_is_no_answer() -> None:
    verdict = answer_by_jobs([], ["a"], BEGUN, QUIET_S)

    assert (verdict.answer, verdict.due_at) == (None, None)


def test_jobs_that_were_taken_back_count_as_if_they_had_never_been() -> None:
    assert answer_by_jobs([on("a", S.CANCELLED)], ["a"], BEGUN, QUIET_S).answer is None
    assert told([on("a", S.SUCCEEDED), on("a", S.CANCELLED, 5)], ["a"]).status is D.COMPLETE
    assert told([on("a", S.SUCCEEDED), on("b", S.CANCELLED, 5)], ["a", "b"]).status is D.ANALYZING


@pytest.mark.parametrize("status", sorted(AT_WORK))
def test_a_job_at_work_means_analyzing(status: Status) -> None:
    answer = told([on("a", S.SUCCEEDED), on("b", status)], ["a", "b"])

    assert (answer.status, answer.source, answer.at) == (D.ANALYZING, StatusSource.EVENTS, BEGUN)


def test_jobs_that_all_wait_in_their_queues_are_pending() -> None:
    assert told([on("a", S.SUBMITTED), on("b", S.SUBMITTED)], ["a", "b"]).status is D.PENDING
    assert told([on("a", S.SUBMITTED), on("b", S.SUCCEEDED)], ["a", "b"]).status is D.ANALYZING


def test_it_is_complete_at_once_when_all_required_extractors_are_done() -> None:
    verdict = answer_by_jobs([on("a", S.SUCCEEDED), on("b", S.SKIPPED)], ["a", "b"], BEGUN, QUIET_S)

    assert verdict.answer is not None
    assert (verdict.answer.status, verdict.answer.progress, verdict.due_at) == (D.COMPLETE, 100, None)


def test_extractors_that_are_not_required_are_ignored() -> None:
    assert told([on("a", S.SUCCEEDED), on("b", S.PROCESSING), on("c", S.ERROR)], ["a"]).status is D.COMPLETE
    assert answer_by_jobs([on("b", S.PROCESSING)], ["a"], BEGUN, QUIET_S).answer is None


def test_where_none_is_required_it_is_complete_when_those_seen_have_been_quiet() -> None:
    jobs = [on("a", S.SUCCEEDED, 10), on("b", S.SUCCEEDED, 20)]

    early = answer_by_jobs(jobs, [], BEGUN + timedelta(seconds=79.9), QUIET_S)
    assert early.answer is not None
    assert (early.answer.status, early.due_at) == (D.ANALYZING, BEGUN + timedelta(seconds=80))
    assert told(jobs, at_s=80).status is D.COMPLETE
    assert told(jobs, at_s=20, quiet_s=0).status is D.COMPLETE


def test_where_none_is_required_a_waiting_job_is_waited_for() -> None:
    assert told([on("a", S.SUCCEEDED), on("b", S.SUBMITTED)], at_s=1e6).status is D.ANALYZING


def test_one_that_failed_for_good_fails_the_dataset_at_once_in_its_own_words() -> None:
    answer = told([on("a", S.PROCESSING), on("b", S.ERROR, message="out of memory"), on("c", S.SUBMITTED)])

    assert (answer.status, answer.error_message) == (D.FAILED, "b: out of memory")


def test_the_first_failure_gives_the_words() -> None:
    jobs = [on("a", S.ERROR, 9, message="no input"), on("b", S.ERROR, 3, message="out of memory")]

    assert told(jobs).error_message == "b: out of memory"


def test_a_failure_without_words_says_so_and_a_long_one_is_cut() -> None:
    assert told([on("a", S.ERROR, message=" ")]).error_message == "a: failed without a message"
    assert len(told([on("a", S.ERROR, message="x" * 99_999)]).error_message or "") == MAX_MESSAGE_CHARS


def test_a_job_that_is_tried_once_more_has_not_failed() -> None:
    assert told([on("a", S.RESUBMITTED, message="(#1) out of memory")], ["a"]).status is D.ANALYZING


def test_the_latest_of_an_extractors_jobs_speaks_for_it() -> None:
    assert told([on("a", S.ERROR, 1), on("a", S.SUCCEEDED, 2)], ["a"]).status is D.COMPLETE
    assert told([on("a", S.ERROR, 2), on("a", S.SUCCEEDED, 1)], ["a"]).status is D.FAILED


def test_an_extractors_job_at_work_speaks_before_its_later_ended_ones() -> None:
    assert told([on("a", S.PROCESSING, 1), on("a", S.SUCCEEDED, 2), on("a", S.ERROR, 3)], ["a"]).status is D.ANALYZING


def test_progress_counts_done_extractors_and_the_percent_of_those_at_work() -> None:
    jobs = [on("a", S.SUCCEEDED), on("b", S.PROCESSING, percent=50), on("c", S.RESUBMITTED, percent=90)]

    assert told(jobs, ["a", "b", "c", "d"]).progress == 37
    assert told(jobs).progress == 50
    assert told([on("a", S.SUBMITTED)]).progress == 0
    assert told([on("a", S.STARTED)]).progress == 0


EXTRACTORS = "abc"
jobs_of_a_dataset = st.lists(
    st.builds(
        lambda extractor, status, at_s, percent: on(extractor, status, at_s, percent=percent),
        st.sampled_from(EXTRACTORS),
        st.sampled_from(Status),
        st.integers(0, 5),
        st.none() | st.floats(0, 100),
    ),
    max_size=8,
).map(lambda jobs: [replace(job, job_id=f"j{number}") for number, job in enumerate(jobs)])
required_extractors = st.sets(st.sampled_from("abcd"))
seconds = st.floats(0, 120)


@given(jobs_of_a_dataset, required_extractors, seconds, st.randoms())
def test_the_order_of_jobs_does_not_matter(
    jobs: list[JobState], required: set[str], at_s: float, random: Random
) -> None:
    now = BEGUN + timedelta(seconds=at_s)
    shuffled = jobs.copy()
    random.shuffle(shuffled)

    assert answer_by_jobs(shuffled, required, now, QUIET_S) == answer_by_jobs(jobs, required, now, QUIET_S)


@given(jobs_of_a_dataset, required_extractors, seconds)
def test_it_is_never_complete_while_a_required_extractor_is_not_done(
    jobs: list[JobState], required: set[str], at_s: float
) -> None:
    answer = answer_by_jobs(jobs, required, BEGUN + timedelta(seconds=at_s), QUIET_S).answer

    if answer is not None and answer.status is D.COMPLETE:
        done = {job.extractor_id for job in jobs if job.status in (S.SUCCEEDED, S.SKIPPED)}
        at_work = {job.extractor_id for job in jobs if job.status in AT_WORK}
        assert done >= required
        assert not at_work & (required or set(EXTRACTORS))


@given(jobs_of_a_dataset, required_extractors, seconds)
def test_a_failed_extractor_wins_over_all_others(jobs: list[JobState], required: set[str], at_s: float) -> None:
    jobs = [job for job in jobs if job.extractor_id != "d"] + [on("d", S.ERROR, message="no")]

    answer = told(jobs, required | {"d"} if required else (), at_s)

    assert answer.status is D.FAILED
    assert answer.error_message is not None


@given(jobs_of_a_dataset, required_extractors, seconds, seconds)
def test_time_alone_moves_it_on_only_and_only_when_due(
    jobs: list[JobState], required: set[str], at_s: float, later_s: float
) -> None:
    before = answer_by_jobs(jobs, required, BEGUN + timedelta(seconds=at_s), QUIET_S)
    later = BEGUN + timedelta(seconds=at_s + later_s)
    after = answer_by_jobs(jobs, required, later, QUIET_S)

    if before.answer is None or after.answer is None:
        assert before == after
    elif before.due_at is not None and later >= before.due_at:
        assert (before.answer.status, after.answer.status, after.due_at) == (D.ANALYZING, D.COMPLETE, None)
    else:
        assert replace(after, answer=replace(after.answer, at=before.answer.at)) == before


@given(jobs_of_a_dataset, required_extractors, seconds)
def test_progress_is_a_percentage_and_full_only_at_the_end(
    jobs: list[JobState], required: set[str], at_s: float
) -> None:
    verdict = answer_by_jobs(jobs, required, BEGUN + timedelta(seconds=at_s), QUIET_S)

    if verdict.answer is not None:
        assert verdict.answer.progress is not None
        assert 0 <= verdict.answer.progress <= 100
        assert (verdict.answer.status is D.COMPLETE) <= (verdict.answer.progress == 100)
