"""The rules of liveness."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtrail.heartbeat.liveness import Basis, StallKind, online, spoken, stall
from jobtrail.models.heartbeat import InstanceRecord, MonitorWatch
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status
from jobtrail.models.settings import Settings
from tests.heartbeat.support import NOW

SETTINGS = Settings(_env_file=None)
INTERVAL_S, TIMEOUT_S, STALL_S = SETTINGS.heartbeat_interval_s, SETTINGS.instance_timeout_s, SETTINGS.stall_after_s


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def instance(seen_s: float, name: str = "1f3a0000-aaaa", **fields) -> InstanceRecord:
    values = {"first_seen": ago(seen_s + 1000), "interval_s": 10.0} | fields
    return InstanceRecord(instance_id=name, extractor="x", version="1", last_seen=ago(seen_s), **values)


def job(seen_s: float, instance_id: str | None = None, status: Status = Status.PROCESSING) -> JobState:
    return JobState(
        job_id="job-1", extractor_id="x", resource_id="r", status=status, message="", updated_at=ago(seen_s),
        seen_at=ago(seen_s), instance_id=instance_id,
    )  # fmt: skip


def judge(one: JobState, *instances: InstanceRecord, watch: MonitorWatch | None = None):
    return stall(one, instances, NOW, SETTINGS, watch)


def test_an_instance_is_online_until_its_limit_and_the_sentence_says_why_not():
    assert online(instance(TIMEOUT_S), NOW, SETTINGS).online
    gone = online(instance(74), NOW, SETTINGS)
    assert (gone.online, gone.basis) == (False, Basis.INFERRED)
    assert gone.evidence == "no heartbeat from instance 1f3a0000… for 74 s (limit 60 s)"


def test_the_limit_follows_the_instances_own_interval():
    assert online(instance(700, interval_s=300.0), NOW, SETTINGS).online
    assert not online(instance(760, interval_s=300.0), NOW, SETTINGS).online


def test_an_instance_that_said_goodbye_is_offline_at_once():
    judged = online(instance(0, stopping=True), NOW, SETTINGS)
    assert (judged.online, judged.basis) == (False, Basis.REPORTED)


def test_silence_while_nobody_watched_proves_nothing():
    away = MonitorWatch(since=ago(5), until=NOW, before=ago(605))
    assert online(instance(610), NOW, SETTINGS, away).online
    assert not online(instance(700), NOW, SETTINGS, away).online
    monitor_down = MonitorWatch(since=ago(5000), until=ago(3600))
    assert online(instance(3605), NOW, SETTINGS, monitor_down).online


def test_a_job_that_its_live_worker_lists_is_never_stalled():
    assert judge(job(100_000, "a"), instance(1, "a", jobs=("job-1",))) is None


def test_a_job_that_its_live_worker_no_longer_lists_has_lost_its_owner():
    found = judge(job(30, "a"), instance(1, "a", jobs=("other",)))
    assert found is not None
    assert (found.kind, found.basis) == (StallKind.OWNER_LOST, Basis.REPORTED)
    assert found.evidence == "instance a is online but does not list this job, nor does any other"


def test_a_heartbeat_from_about_the_jobs_start_does_not_disown_it():
    assert judge(job(15, "a"), instance(8, "a", jobs=())) is None


def test_a_job_of_a_worker_that_said_goodbye_has_lost_its_owner_as_reported():
    found = judge(job(20, "a"), instance(15, "a", jobs=(), stopping=True))
    assert found is not None
    assert (found.kind, found.basis) == (StallKind.OWNER_LOST, Basis.REPORTED)


def test_a_job_of_a_worker_that_fell_silent_has_lost_its_owner_as_inferred():
    found = judge(job(90, "a"), instance(80, "a", jobs=("job-1",)))
    assert found is not None
    assert (found.kind, found.basis, found.since) == (StallKind.OWNER_LOST, Basis.INFERRED, ago(80))
    assert "80 s (limit 60 s)" in found.evidence


def test_a_job_that_another_live_instance_took_over_is_fine():
    dead = instance(500, "a", jobs=("job-1",))
    assert judge(job(400, "a"), dead, instance(1, "b", jobs=("job-1",))) is None


def test_a_worker_whose_heartbeats_ended_but_who_sends_updates_lives():
    assert judge(job(30, "a"), instance(500, "a", jobs=("job-1",))) is None


def test_a_pyclowder_job_without_a_live_instance_is_stalled_after_the_instance_limit():
    dead = instance(600, "p")
    assert judge(job(TIMEOUT_S - 1), dead) is None
    found = judge(job(TIMEOUT_S + 10), dead)
    assert found is not None
    assert (found.kind, found.basis) == (StallKind.NO_INSTANCE, Basis.INFERRED)
    assert found.evidence == "no update for 70 s (limit 60 s) and no live instance of x"


def test_a_pyclowder_that_sent_its_only_heartbeat_some_minutes_ago_may_live():
    assert judge(job(200), instance(250, "p", interval_s=None)) is None


def test_a_pyclowder_job_is_silent_past_the_stall_limit_though_its_instance_lives():
    assert judge(job(STALL_S), instance(1, "p")) is None
    found = judge(job(370), instance(1, "p"))
    assert found is not None
    assert (found.kind, found.basis) == (StallKind.SILENT, Basis.INFERRED)
    assert found.evidence == "no update for 6 min 10 s (limit 5 min); x's heartbeats list no jobs"


def test_a_worker_that_sends_no_heartbeats_is_judged_by_time():
    assert judge(job(200, "nobody")) is None
    found = judge(job(301, "nobody"))
    assert found is not None
    assert found.kind is StallKind.SILENT


def test_no_instance_is_concluded_only_from_watched_time():
    assert judge(job(200), watch=MonitorWatch(since=ago(5), until=NOW, before=ago(199))) is None
    assert judge(job(200), watch=MonitorWatch(since=ago(500), until=ago(180))) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(74, "74 s"), (370, "6 min 10 s"), (300, "5 min"), (7500, "2 h 5 min"), (7200, "2 h")]
)
def test_durations_are_said_in_words(seconds: float, words: str):
    assert spoken(seconds) == words


INSTANCES = st.lists(
    st.builds(
        instance,
        st.floats(0, 5000),
        name=st.sampled_from("abc"),
        jobs=st.sampled_from([None, (), ("job-1",), ("other",)]),
        interval_s=st.sampled_from([None, 1.0, 10.0, 300.0]),
        stopping=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda each: each.instance_id,
)
OWNERS = st.sampled_from([None, "a", "z"])


@given(INSTANCES, OWNERS, st.floats(0, 10_000), st.sampled_from(Status))
def test_only_running_jobs_that_were_silent_for_a_while_are_stalled(instances, owner, seen_s, status):
    found = stall(job(seen_s, owner, status), instances, NOW, SETTINGS)
    if not status.is_running or seen_s <= INTERVAL_S:
        assert found is None


@given(INSTANCES, OWNERS, st.floats(0, 10_000))
def test_a_job_that_a_live_instance_claims_is_never_stalled(instances, owner, seen_s):
    claimed = [*instances, instance(1, "claimer", jobs=("job-1",))]
    assert stall(job(seen_s, owner), claimed, NOW, SETTINGS) is None


@given(INSTANCES, st.floats(0, TIMEOUT_S))
def test_silence_of_heartbeats_alone_never_stalls_a_pyclowder_job(instances, seen_s):
    assert stall(job(seen_s), instances, NOW, SETTINGS) is None


@given(INSTANCES, OWNERS, st.floats(0, 10_000))
def test_every_stall_has_evidence_and_reports_come_from_a_worker(instances, owner, seen_s):
    found = stall(job(seen_s, owner), instances, NOW, SETTINGS)
    if found is None:
        return
    assert found.since <= NOW
    assert found.evidence
    if found.basis is Basis.REPORTED:
        assert found.kind is StallKind.OWNER_LOST
        assert any(each.instance_id == owner for each in instances)


@given(INSTANCES, OWNERS, st.floats(0, 10_000))
def test_a_job_silent_past_every_limit_that_nobody_claims_is_stalled(instances, owner, seen_s):
    unclaimed = [each for each in instances if "job-1" not in (each.jobs or ())]
    if seen_s > max(STALL_S, 2.5 * 300) + 5000:
        assert stall(job(seen_s, owner), unclaimed, NOW, SETTINGS) is not None


@given(INSTANCES, OWNERS, st.floats(0, 10_000))
def test_a_monitor_that_never_ran_stalls_no_job_by_silent_heartbeats(instances, owner, seen_s):
    never = MonitorWatch(since=datetime.min.replace(tzinfo=NOW.tzinfo), until=datetime.min.replace(tzinfo=NOW.tzinfo))
    found = stall(job(seen_s, owner), instances, NOW, SETTINGS, never)
    assert found is None or found.kind is StallKind.SILENT or found.basis is Basis.REPORTED
