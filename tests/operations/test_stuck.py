"""Why a job doesn't get on: the sentence and its evidence."""

from datetime import timedelta
from typing import Any

from jobtrail.broker.queue_depth import QueueDepth
from jobtrail.heartbeat.liveness import Basis, Evidence, Stall, StallKind
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status
from jobtrail.operations.diagnosis import WAITING_LONG_S, Circumstances, Diagnosis, diagnose, waits_long
from jobtrail.operations.figure_book import Usual
from jobtrail.operations.figures import Window
from tests.jobs import BEGUN, a_job

NOW = BEGUN + timedelta(hours=1)
USUAL = Usual(p50_s=12.0, p95_s=40.0, jobs=1180, window=Window.DAY)
ALIVE = Evidence(online=True, since=NOW, basis=Basis.REPORTED, evidence="instance w-1 sent a heartbeat 3 s ago")
GONE = Evidence(
    online=False, since=NOW, basis=Basis.INFERRED, evidence="no heartbeat from instance w-1 for 5 min (limit 60 s)"
)


def ago(seconds: float) -> Any:
    return NOW - timedelta(seconds=seconds)


def lost(**changed: Any) -> Diagnosis:
    """A job whose worker is gone."""
    job = a_job("j", Status.PROCESSING, seen_at=ago(310), started_at=ago(400), message="Page 4 of 10")
    values: dict[str, Any] = {
        "job": job,
        "stall": Stall(kind=StallKind.OWNER_LOST, since=ago(300), basis=Basis.INFERRED, evidence=GONE.evidence),
        "heartbeat": GONE,
        "depth": QueueDepth(queue="work", waiting=3, consumers=0),
        "usual": USUAL,
        "now": NOW,
    }
    return diagnose(Circumstances(**(values | changed)))


def waiting(depth: QueueDepth, **changed: Any) -> Diagnosis:
    """A job that waits for a worker."""
    job = a_job("j", Status.SUBMITTED, seen_at=ago(600))
    values: dict[str, Any] = {"job": job, "stall": None, "heartbeat": ALIVE, "depth": depth, "usual": USUAL, "now": NOW}
    return diagnose(Circumstances(**(values | changed)))


def told(diagnosis: Diagnosis) -> dict[str, tuple[str, Basis | None]]:
    return {fact.name: (fact.text, fact.basis) for fact in diagnosis.evidence}


def test_a_stalled_job_is_told_in_one_sentence_with_the_evidence_of_each_part():
    diagnosis = lost()
    assert diagnosis.sentence == (
        "No heartbeat from instance w-1 for 5 min (limit 60 s); the job's last update came 5 min 10 s ago; "
        "x usually takes 12 s (95 % within 40 s), this job 6 min 40 s so far; "
        "no consumer takes work from work, where 3 requests wait."
    )
    assert told(diagnosis) == {
        "Finding": ("no heartbeat from instance w-1 for 5 min (limit 60 s)", Basis.INFERRED),
        "Queue": ("work: 3 requests wait, 0 consumers", Basis.REPORTED),
        "Last event": ("PROCESSING", Basis.REPORTED),
        "Usual duration": ("12 s (95 % within 40 s), by 1,180 jobs of the last 24 hours", Basis.INFERRED),
    }
    event = diagnosis.evidence[2]
    assert (event.words, event.at) == ("Page 4 of 10", ago(310))


def test_what_is_not_known_is_said_to_be_unknown():
    silent = Stall(kind=StallKind.SILENT, since=ago(310), basis=Basis.INFERRED, evidence="no update for 5 min")
    depth = QueueDepth(queue="work", problem="the broker can't be asked")
    diagnosis = lost(stall=silent, heartbeat=None, depth=depth, usual=None)
    assert diagnosis.sentence == (
        "No update for 5 min; how many requests wait in work is unknown: the broker can't be asked."
    )
    facts = told(diagnosis)
    assert facts["Queue"] == ("work: unknown: the broker can't be asked", None)
    assert facts["Heartbeat"] == ("no worker of x has sent a heartbeat in the last week", None)
    assert facts["Usual duration"] == ("unknown: none of its jobs ended recently", None)


def test_the_queue_of_a_stalled_job_is_told_as_it_is():
    ends = {
        QueueDepth(queue="q", waiting=1, consumers=2): "in q 1 request waits for 2 consumers.",
        QueueDepth(queue="q", waiting=0, consumers=1): "no request waits in q, which has 1 consumer.",
        QueueDepth(queue="q", waiting=0, consumers=0): "no consumer takes work from q, where no request waits.",
        QueueDepth(queue="q", missing=True): "its queue q is not on the broker.",
    }
    for depth, end in ends.items():
        assert lost(depth=depth).sentence.endswith(f"; {end}")


def test_a_job_that_waits_is_told_what_it_waits_for():
    starts = {
        QueueDepth(queue="q", waiting=40, consumers=2): (
            "It has waited for 10 min in q, where 40 requests wait for 2 consumers; "
            "at the usual 12 s each that is about 4 min of work; "
        ),
        QueueDepth(queue="q", waiting=4, consumers=0): (
            "It has waited for 10 min in q, where 4 requests wait and no consumer takes work; "
        ),
        QueueDepth(queue="q", waiting=0, consumers=1): (
            "It has waited for 10 min, but no request waits in q, which has 1 consumer: a worker holds it and has said "
            "nothing yet, or the request is lost; "
        ),
        QueueDepth(queue="q", missing=True): (
            "It has waited for 10 min, and its queue q is not on the broker: no worker has made it yet, "
            "or it was deleted; "
        ),
        QueueDepth(queue="q", problem="no broker is configured"): (
            "It has waited for 10 min; how many requests wait in q is unknown: no broker is configured; "
        ),
    }
    for depth, start in starts.items():
        assert waiting(depth).sentence == f"{start}instance w-1 sent a heartbeat 3 s ago."
    assert told(waiting(QueueDepth(queue="q", missing=True)))["Queue"] == ("q is not on the broker", Basis.REPORTED)
    nobody = waiting(QueueDepth(queue="q", waiting=4, consumers=0), heartbeat=None)
    assert nobody.sentence.endswith("; no worker of x has sent a heartbeat in the last week.")


def test_long_names_and_words_of_workers_are_cut():
    job = a_job("j", Status.PROCESSING, message="m" * 5000, extractor_id="e" * 500, seen_at=ago(310))
    diagnosis = lost(job=job, depth=QueueDepth(queue="q" * 500, waiting=0, consumers=0))
    assert len(diagnosis.sentence) < 400
    assert all(len(fact.text) < 200 and len(fact.words or "") <= 300 for fact in diagnosis.evidence)


def test_only_who_waits_for_long_is_asked_why():
    def waits(status: Status, seconds: float) -> bool:
        job: JobState = a_job("j", status, seen_at=ago(seconds))
        return waits_long(job, NOW)

    assert waits(Status.SUBMITTED, WAITING_LONG_S + 1)
    assert waits(Status.RESUBMITTED, WAITING_LONG_S + 1)
    assert not waits(Status.SUBMITTED, WAITING_LONG_S - 1)
    assert not any(waits(status, 9999) for status in (Status.STARTED, Status.PROCESSING, Status.ERROR))
