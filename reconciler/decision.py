"""Two sources, one state machine: what a dataset's status becomes when the API and the jobs have been heard.

The API decides when it answers; the jobs decide when it does not. A job at work is proof enough that a pending
dataset is being analyzed, whatever the API says; an end needs the API's word as long as it gives one.
"""

from dataclasses import dataclass
from enum import StrEnum

from jobtrail.models.datasets.dataset import Answer, DatasetStatus, History, StatusSource, Transition, transition


class DecisionOutcome(StrEnum):
    """What became of the check of one dataset."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    INVALID = "invalid"
    """The source tells a status that can't follow the stored one."""
    UNANSWERED = "unanswered"
    """No source gave a status."""
    NOT_ASKED = "not_asked"
    """The run had to stop asking before it came to this one."""
    REFUSED = "refused"
    """The change could not be stored."""
    OVERTAKEN = "overtaken"
    """Another process changed it meanwhile."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Decision:
    """What to do about one dataset."""

    outcome: DecisionOutcome
    """CHANGED, UNCHANGED, INVALID or UNANSWERED."""
    answer: Answer | None
    """The answer that decided; None where there is none."""
    status: DatasetStatus
    """The status to have: that of the answer, unless it stays."""
    reason: str


def decide(history: History, api: Answer | None, events: Answer | None) -> Decision:
    """Decide what a dataset's status becomes.

    `api`: the API's answer, which may be a problem; None when it was not asked. `events`: what the jobs say; None when
    they are not asked, or there are none.
    """
    if api is None or api.status is None:
        return _by_jobs(history, api, events)
    step = transition(history.status, api.status)
    if step is Transition.CHANGE:
        return Decision(
            outcome=DecisionOutcome.CHANGED, answer=api, status=api.status, reason=f"the API says {api.status}"
        )
    if history.status is DatasetStatus.PENDING and _says_begun(events):
        return Decision(
            outcome=DecisionOutcome.CHANGED,
            answer=events,
            status=DatasetStatus.ANALYZING,
            reason=f"jobs are at work; the API still says {api.status}",
        )
    if step is Transition.INVALID and not _went_ahead(history):
        reason = f"the API says {api.status}, which can't follow {history.status}"
        return Decision(outcome=DecisionOutcome.INVALID, answer=api, status=history.status, reason=reason)
    return Decision(
        outcome=DecisionOutcome.UNCHANGED, answer=api, status=history.status, reason=f"the API says {api.status}"
    )


def decide_before_api(history: History, events: Answer | None) -> Decision:
    """Decide by the jobs while the API is still to be asked: an end waits for its word, anything else does not.

    `events`: what the jobs say; None when there are none.
    """
    if events is None or events.status is None or not events.status.is_end:
        return _by_jobs(history, None, events)
    reason = f"the jobs say {events.status}; the API is asked"
    outcome = DecisionOutcome.CHANGED if history.status is DatasetStatus.PENDING else DecisionOutcome.UNCHANGED
    return Decision(outcome=outcome, answer=events, status=DatasetStatus.ANALYZING, reason=reason)


def _by_jobs(history: History, api: Answer | None, events: Answer | None) -> Decision:
    silence = f"; the API gave no answer ({api.problem})" if api else ""
    if events is None or events.status is None:
        outcome = DecisionOutcome.UNANSWERED if api else DecisionOutcome.UNCHANGED
        return Decision(outcome=outcome, answer=None, status=history.status, reason=f"no job says anything{silence}")
    reason = f"the jobs say {events.status}{silence}"
    if transition(history.status, events.status) is Transition.CHANGE:
        return Decision(outcome=DecisionOutcome.CHANGED, answer=events, status=events.status, reason=reason)
    # Jobs may well wait in a queue again while the dataset is in work: that is not a step back.
    return Decision(outcome=DecisionOutcome.UNCHANGED, answer=events, status=history.status, reason=reason)


def _says_begun(events: Answer | None) -> bool:
    return events is not None and events.status not in (None, DatasetStatus.PENDING)


def _went_ahead(history: History) -> bool:
    """Whether the jobs moved the dataset on, and the API has not said so itself yet."""
    said = history.answers.get(StatusSource.API)
    has_followed = said is not None and said.status is history.status
    return history.ruling is not None and history.ruling.source is StatusSource.EVENTS and not has_followed
