"""Jobs, events and groups as the JSON that `--json` prints. Every field is always there; what is not known is null."""

from cli.formats import rfc3339
from heartbeat.liveness import Stall
from models.job import Event, Job
from store.jobs import UnnamedGroup

JsonObject = dict[str, object]


def job_json(job: Job, stall: Stall | None) -> JsonObject:
    """Make the JSON of a job.

    Args:
        job: The job.
        stall: Why it counts as stalled, if it does.

    Returns:
        The object, without the job's events.
    """
    return {
        "job_id": job.job_id,
        "extractor_id": job.extractor_id,
        "resource_id": job.resource_id,
        "user_id": job.user_id,
        "status": job.status.value,
        "stalled": stall is not None,
        "stall": stall and _stall_json(stall),
        "message": job.message,
        "percent": job.percent,
        "attempts": job.attempts,
        "submitted_at": rfc3339(job.submitted_at),
        "started_at": rfc3339(job.started_at),
        "updated_at": rfc3339(job.updated_at),
        "finished_at": rfc3339(job.finished_at),
        "elapsed_s": None if job.elapsed_s is None else round(job.elapsed_s, 3),
        "event_count": job.event_count,
        "instance_id": job.instance_id,
        "missing": [
            {"producer_id": producer, "first": first, "last": last}
            for producer, gaps in job.missing.items()
            for first, last in gaps
        ],
    }


def event_json(event: Event) -> JsonObject:
    """Make the JSON of an event.

    Args:
        event: The event; one that belongs to no job has null as `position` and `attempt`.

    Returns:
        The object.
    """
    update, placement = event.update, event.placement
    return {
        "id": event.id,
        "seq": event.seq,
        "position": placement and placement.position,
        "attempt": placement and placement.attempt,
        "status": update.state.value,
        "message": update.message,
        "percent": update.percent,
        "event_time": rfc3339(update.event_time),
        "received_at": rfc3339(event.received_at),
        "late": placement is not None and placement.late,
    }


def unnamed_group_json(group: UnnamedGroup) -> JsonObject:
    """Make the JSON of a "No job ID" group.

    Args:
        group: The group.

    Returns:
        The object.
    """
    return {
        "extractor_id": group.extractor_id,
        "resource_id": group.resource_id,
        "status": group.status.value,
        "message": group.message,
        "first_at": rfc3339(group.first_at),
        "updated_at": rfc3339(group.updated_at),
        "event_count": group.event_count,
    }


def _stall_json(stall: Stall) -> JsonObject:
    return {
        "kind": stall.kind.value,
        "since": rfc3339(stall.since),
        "basis": stall.basis.value,
        "evidence": stall.evidence,
    }
