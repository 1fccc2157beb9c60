import json
import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from jobtrail.heartbeat.liveness import Basis, Stall, StallKind
from jobtrail.models.jobs.job import Event, JobState, fold
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import StatusUpdate
from jobtrail.operations.job_list import ListedJob
from jobtrail.operations.schemas.jobs import EventSchema, JobSchema

JOB_FIELDS = {
    "job_id",
    "extractor_id",
    "resource_id",
    "user_id",
    "status",
    "stalled",
    "stall",
    "message",
    "percent",
    "attempts",
    "submitted_at",
    "started_at",
    "updated_at",
    "finished_at",
    "elapsed_s",
    "event_count",
    "instance_id",
    "missing",
}
EVENT_FIELDS = {
    "id",
    "seq",
    "position",
    "attempt",
    "status",
    "message",
    "percent",
    "event_time",
    "received_at",
    "late",
    "replay_id",
    "letter_id",
    "maybe_repeated",
}
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

times = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))
names = st.text(min_size=1, max_size=20)
updates = st.builds(
    StatusUpdate,
    extractor_id=names,
    resource_id=names,
    job_id=st.just("job"),
    status=names,
    state=st.sampled_from(Status),
    message=st.text(),
    event_time=times,
    user_id=st.none() | names,
    percent=st.none() | st.floats(0, 100),
    producer_id=st.none() | st.sampled_from(["p", "q"]),
    sequence=st.none() | st.integers(1, 30),
    instance_id=st.none() | names,
)
stalls = st.none() | st.builds(
    Stall, kind=st.sampled_from(StallKind), since=times, basis=st.sampled_from(Basis), evidence=names
)


@given(st.lists(updates, min_size=1, max_size=20), stalls)
def test_the_json_of_every_job_and_event_is_valid_and_complete(sent: list[StatusUpdate], stall: Stall | None) -> None:
    job: JobState | None = None
    for seq, update in enumerate(sent, 1):
        job, placement = fold(job, update, update.event_time + timedelta(seconds=1))
        event = Event(
            id="0" * 24, queue="q", seq=seq, received_at=update.event_time, update=update, placement=placement
        )
        told = json.loads(json.dumps(EventSchema.model_validate(event).json_object(), allow_nan=False))
        assert told.keys() == EVENT_FIELDS
        assert RFC_3339.fullmatch(told["event_time"])
        assert (told["status"], told["position"], told["late"]) == (update.state, placement.position, placement.late)
    assert job is not None
    told = json.loads(
        json.dumps(JobSchema.model_validate(ListedJob(job=job, stall=stall)).json_object(), allow_nan=False)
    )
    assert told.keys() == JOB_FIELDS
    assert told["stalled"] is (stall is not None)
    assert told["event_count"] == len(sent)
    for name in ("submitted_at", "started_at", "updated_at", "finished_at"):
        assert told[name] is None or RFC_3339.fullmatch(told[name])
    assert {(gap["first"], gap["last"]) for gap in told["missing"]} == {
        gap for gaps in job.missing.values() for gap in gaps
    }
