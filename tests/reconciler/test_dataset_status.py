"""The state machine of datasets, and how two sources drive it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtrail.models.datasets.dataset import (
    Answer,
    DatasetStatus,
    History,
    Ruling,
    StatusSource,
    Transition,
    transition,
    valid_dataset_id,
)
from jobtrail.models.errors import SettingError
from jobtrail.reconciler.decision import DecisionOutcome, decide

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PENDING, ANALYZING, COMPLETE, FAILED = DatasetStatus
STATUSES = st.sampled_from(DatasetStatus)
OPEN = st.sampled_from([PENDING, ANALYZING])


def history(status: DatasetStatus, ruled_by: StatusSource | None = None) -> History:
    ruling = Ruling(source=ruled_by, reason="", at=NOW) if ruled_by else None
    return History(key=1, dataset_id="d-1", group_key=1, status=status, created_at=NOW, updated_at=NOW, ruling=ruling)


def api(status: DatasetStatus | None, problem: str | None = None) -> Answer:
    return Answer(source=StatusSource.API, at=NOW, status=status, problem=problem)


def events(status: DatasetStatus | None) -> Answer | None:
    return Answer(source=StatusSource.EVENTS, at=NOW, status=status) if status else None


@pytest.mark.parametrize(
    ("stored", "told", "judgement"),
    [
        (PENDING, ANALYZING, Transition.CHANGE),
        (PENDING, COMPLETE, Transition.CHANGE),
        (PENDING, FAILED, Transition.CHANGE),
        (ANALYZING, COMPLETE, Transition.CHANGE),
        (ANALYZING, FAILED, Transition.CHANGE),
        (ANALYZING, PENDING, Transition.INVALID),
        (COMPLETE, ANALYZING, Transition.INVALID),
        (COMPLETE, FAILED, Transition.INVALID),
        (FAILED, COMPLETE, Transition.INVALID),
        (FAILED, PENDING, Transition.INVALID),
        *((status, status, Transition.SAME) for status in DatasetStatus),
    ],
)
def test_a_dataset_goes_forward_to_its_end_and_nowhere_from_there(
    stored: DatasetStatus, told: DatasetStatus, judgement: Transition
) -> None:
    assert transition(stored, told) is judgement


@given(st.lists(STATUSES, max_size=12))
def test_whatever_is_told_in_whatever_order_only_forward_steps_are_made(told: list[DatasetStatus]) -> None:
    rank = {PENDING: 0, ANALYZING: 1, COMPLETE: 2, FAILED: 2}
    stored = PENDING
    for status in told:
        if transition(stored, status) is Transition.CHANGE:
            assert rank[status] > rank[stored]
            stored = status
    ends = [status for status in told if status.is_end]
    assert stored is (ends[0] if ends else ANALYZING if ANALYZING in told else PENDING)


@given(OPEN, STATUSES, st.none() | STATUSES)
def test_the_api_decides_about_ends_when_it_answers(
    stored: DatasetStatus, told: DatasetStatus, by_jobs: DatasetStatus | None
) -> None:
    decision = decide(history(stored), api(told), events(by_jobs))
    if told.is_end:
        assert (decision.outcome, decision.status) == (DecisionOutcome.CHANGED, told)
        assert decision.answer == api(told)
    else:
        assert not decision.status.is_end


@given(OPEN, st.none() | STATUSES)
def test_the_jobs_decide_when_the_api_gives_no_answer(stored: DatasetStatus, by_jobs: DatasetStatus | None) -> None:
    decision = decide(history(stored), api(None, "api_timeout"), events(by_jobs))
    if by_jobs is not None and transition(stored, by_jobs) is Transition.CHANGE:
        assert (decision.outcome, decision.status) == (DecisionOutcome.CHANGED, by_jobs)
        assert "api_timeout" in decision.reason
    else:
        assert decision.status is stored
        assert decision.outcome is (DecisionOutcome.UNANSWERED if by_jobs is None else DecisionOutcome.UNCHANGED)


@pytest.mark.parametrize("by_jobs", [ANALYZING, COMPLETE, FAILED])
def test_a_job_at_work_moves_a_pending_dataset_on_whatever_the_api_says(by_jobs: DatasetStatus) -> None:
    decision = decide(history(PENDING), api(PENDING), events(by_jobs))
    assert (decision.outcome, decision.status) == (DecisionOutcome.CHANGED, ANALYZING)
    assert decision.answer == events(by_jobs)


def test_an_api_that_lags_behind_the_jobs_is_no_invalid_transition() -> None:
    decision = decide(history(ANALYZING, ruled_by=StatusSource.EVENTS), api(PENDING), events(ANALYZING))
    assert decision.outcome is DecisionOutcome.UNCHANGED


def test_an_api_that_goes_back_on_its_own_word_is_an_invalid_transition() -> None:
    decision = decide(history(ANALYZING, ruled_by=StatusSource.API), api(PENDING), None)
    assert decision.outcome is DecisionOutcome.INVALID
    assert decision.status is ANALYZING


def test_an_api_that_goes_back_after_it_had_followed_the_jobs_is_an_invalid_transition_too() -> None:
    by_jobs = history(ANALYZING, ruled_by=StatusSource.EVENTS)
    followed = replace(by_jobs, answers={StatusSource.API: api(ANALYZING)})
    assert decide(followed, api(PENDING), events(ANALYZING)).outcome is DecisionOutcome.INVALID
    silent = replace(by_jobs, answers={StatusSource.API: api(None, "api_timeout")})
    assert decide(silent, api(PENDING), events(ANALYZING)).outcome is DecisionOutcome.UNCHANGED


@given(STATUSES, st.none() | STATUSES, st.none() | STATUSES)
def test_no_decision_ever_leaves_an_end_or_goes_back(
    stored: DatasetStatus, told: DatasetStatus | None, by_jobs: DatasetStatus | None
) -> None:
    decision = decide(history(stored), api(told, None if told else "api_timeout"), events(by_jobs))
    assert transition(stored, decision.status) in (Transition.SAME, Transition.CHANGE)
    assert (decision.outcome is DecisionOutcome.CHANGED) == (decision.status is not stored)


def test_jobs_that_wait_again_are_no_step_back() -> None:
    assert decide(history(ANALYZING), None, events(PENDING)).outcome is DecisionOutcome.UNCHANGED


def test_an_answer_is_the_same_as_long_as_it_tells_the_same() -> None:
    answer = api(ANALYZING)
    assert answer.says_same(replace(answer, at=datetime(2027, 1, 1, tzinfo=UTC)))
    assert not answer.says_same(replace(answer, progress=1.0))
    assert not answer.says_same(api(None, "api_timeout"))
    assert not answer.says_same(None)


@pytest.mark.parametrize("good", ["1", "ds-42", "5cb2d2d3a4be0f9fd3400001", "a:b.c_d", "x" * 128])
def test_a_dataset_id_is_letters_digits_and_a_few_signs(good: str) -> None:
    assert valid_dataset_id(good) == good


@pytest.mark.parametrize("bad", ["", " ", "-x", "a/b", "a b", "../x", "ä", "x" * 129, "x\n", "?id=1"])
def test_anything_else_is_refused_with_a_sentence_that_shows_it(bad: str) -> None:
    with pytest.raises(SettingError, match="is not a dataset id"):
        valid_dataset_id(bad)
