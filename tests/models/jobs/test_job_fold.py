"""The job state machine: what each update may change."""

from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtrail.models.jobs.job import MAX_GAPS, MAX_PRODUCERS, JobState, Placement, ProducerProgress, fold
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import StatusUpdate

BEGUN = datetime(2026, 11, 22, tzinfo=UTC)
S = Status


def update(state: Status, at_s: int = 0, **fields: Any) -> StatusUpdate:
    values: dict[str, Any] = {
        "extractor_id": "x",
        "resource_id": "r",
        "job_id": "j",
        "status": state.value,
        "state": state,
        "message": f"{state.value} at {at_s}",
        "event_time": BEGUN + timedelta(seconds=at_s),
    }
    return StatusUpdate(**(values | fields))


def folded(*updates: StatusUpdate) -> tuple[JobState, list[Placement]]:
    job: JobState | None = None
    placements = []
    for number, one in enumerate(updates):
        job, placement = fold(job, one, BEGUN + timedelta(minutes=number))
        placements.append(placement)
    assert job is not None
    return job, placements


def after(*states: Status) -> tuple[JobState, list[Placement]]:
    return folded(*(update(state, second) for second, state in enumerate(states)))


def test_a_job_runs_from_its_submission_to_its_end() -> None:
    job, placements = after(S.SUBMITTED, S.STARTED, S.PROCESSING, S.SUCCEEDED)

    assert (job.status, job.attempts, job.event_count) == (S.SUCCEEDED, 1, 4)
    assert (job.submitted_at, job.started_at, job.finished_at) == (
        BEGUN,
        BEGUN + timedelta(seconds=1),
        BEGUN + timedelta(seconds=3),
    )
    assert job.elapsed_s == 2
    assert [placement.attempt for placement in placements] == [0, 1, 1, 1]
    assert [placement.position for placement in placements] == [1, 2, 3, 4]
    assert not any(placement.late for placement in placements)


def test_each_start_is_an_attempt_even_where_the_messages_are_identical() -> None:
    job, placements = folded(*[update(S.STARTED), update(S.RESUBMITTED)] * 11)

    assert job.attempts == 11
    assert [placement.attempt for placement in placements[::2]] == list(range(1, 12))


def test_a_start_while_another_attempt_runs_is_the_next_attempt() -> None:
    job, placements = after(S.STARTED, S.PROCESSING, S.STARTED)

    assert (job.attempts, job.status) == (2, S.STARTED)
    assert placements[-1].attempt == 2


@pytest.mark.parametrize("end", [S.SUCCEEDED, S.ERROR, S.SKIPPED])
@pytest.mark.parametrize("late", [S.PROCESSING, S.SUCCEEDED, S.ERROR, S.SKIPPED, S.RESUBMITTED, S.CANCELLED])
def test_a_late_update_is_kept_and_never_reopens_a_finished_job(end: Status, late: Status) -> None:
    job, placements = after(S.STARTED, end, late)

    assert job.status is end
    assert job.message == f"{end} at 1"
    assert job.finished_at == job.updated_at == BEGUN + timedelta(seconds=1)
    assert placements[-1] == Placement(position=3, attempt=1, late=True)
    assert job.event_count == 3


def test_a_new_start_after_an_end_reopens_the_job_as_the_next_attempt() -> None:
    job, _ = after(S.STARTED, S.ERROR, S.STARTED)

    assert (job.status, job.attempts, job.finished_at, job.elapsed_s) == (S.STARTED, 2, None, None)
    assert job.started_at == BEGUN


def test_the_submitters_own_update_may_come_after_the_workers() -> None:
    job, placements = folded(
        update(S.STARTED, 1), update(S.SUCCEEDED, 2), update(S.SUBMITTED, 0, user_id="rob", producer_id="submitter")
    )

    assert (job.status, job.submitted_at, job.user_id) == (S.SUCCEEDED, BEGUN, "rob")
    assert placements[-1].late


def test_progress_without_a_start_counts_as_the_first_attempt() -> None:
    job, _ = after(S.PROCESSING, S.SUCCEEDED)

    assert (job.attempts, job.started_at, job.status) == (1, BEGUN, S.SUCCEEDED)


@pytest.mark.parametrize(
    ("before", "accepted"),
    [([S.SUBMITTED], True), ([S.STARTED, S.RESUBMITTED], True), ([S.STARTED], False), ([S.STARTED, S.ERROR], False)],
)
def test_only_a_job_that_no_worker_holds_can_be_cancelled(before: Sequence[Status], accepted: bool) -> None:
    job, placements = after(*before, S.CANCELLED)

    assert (job.status is S.CANCELLED) is accepted
    assert placements[-1].late is not accepted


def test_a_former_worker_of_a_job_that_was_given_to_another_changes_nothing() -> None:
    job, placements = folded(
        update(S.STARTED, 0, producer_id="a", sequence=1),
        update(S.STARTED, 1, producer_id="b", sequence=1),
        update(S.SUCCEEDED, 2, producer_id="a", sequence=2),
    )

    assert (job.status, job.attempts) == (S.STARTED, 2)
    assert placements[-1].late


def test_missing_updates_are_named_until_they_arrive_and_then_change_no_state() -> None:
    job, _ = folded(*(update(S.PROCESSING, n, producer_id="p", sequence=n) for n in (1, 2, 3, 7)))
    assert job.missing == {"p": [(4, 6)]}

    job, placement = fold(job, update(S.SUCCEEDED, 5, producer_id="p", sequence=5), BEGUN)
    assert job.missing == {"p": [(4, 4), (6, 6)]}
    assert placement.late
    assert job.status is S.PROCESSING

    for sequence in (4, 6):
        job, _ = fold(job, update(S.PROCESSING, 0, producer_id="p", sequence=sequence), BEGUN)
    assert job.missing == {}


def test_an_update_without_a_job_id_belongs_to_no_job() -> None:
    with pytest.raises(ValueError, match="no job"):
        fold(None, update(S.STARTED, job_id=None), BEGUN)


@given(st.permutations(range(1, 40)))
def test_the_gaps_of_a_producer_are_what_is_missing_below_its_highest_number(order: list[int]) -> None:
    progress = ProducerProgress()
    for count, sequence in enumerate(order, 1):
        progress.note(sequence)
        seen = set(order[:count])
        gaps = {number for first, last in progress.missing for number in range(first, last + 1)}
        assert gaps == set(range(1, max(seen))) - seen


def test_what_a_job_remembers_of_producers_and_gaps_is_bounded() -> None:
    updates = [update(S.PROCESSING, producer_id="p", sequence=2 * n) for n in range(1, 3 * MAX_GAPS)]
    updates += [update(S.STARTED, producer_id=f"p{n}", sequence=1) for n in range(3 * MAX_PRODUCERS)]

    job, _ = folded(*updates)

    assert len(job.producers["p"].missing) == MAX_GAPS
    assert len(job.producers) <= MAX_PRODUCERS


updates_of_one_job = st.lists(
    st.builds(
        update,
        st.sampled_from(Status),
        st.integers(0, 100),
        producer_id=st.sampled_from([None, "a", "b"]),
        sequence=st.one_of(st.none(), st.integers(1, 9)),
        percent=st.one_of(st.none(), st.floats(0, 100)),
    ),
    min_size=1,
    max_size=30,
)


@given(updates_of_one_job)
def test_whatever_arrives_the_job_stays_consistent(updates: list[StatusUpdate]) -> None:
    job: JobState | None = None
    for number, one in enumerate(updates):
        before = deepcopy(job)
        job, placement = fold(job, one, BEGUN + timedelta(seconds=number))
        assert placement.position == job.event_count == number + 1
        assert job.status.is_end == (job.finished_at is not None)
        assert job.status.is_running <= (job.attempts > 0)
        assert job.elapsed_s is None or job.elapsed_s >= 0
        if before is not None:
            assert job.attempts - before.attempts in (0, 1)
            if before.status.is_end and one.state is not Status.STARTED:
                assert job.status is before.status
            if placement.late:
                assert (job.status, job.message, job.attempts) == (before.status, before.message, before.attempts)
