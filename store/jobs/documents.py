"""How events and jobs look as MongoDB documents.

Clowder's own field names are kept (`file_id`, `extractor_id`, `status`, `start`, `end`, `user_id`, `id`), so that
existing readers of the `extractions` collection go on working; everything else stands beside them. Fields that are
None are left out.
"""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from jobtrail.models.jobs.job import Event, JobState, Placement, ProducerProgress
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import StatusUpdate
from jobtrail.store.database import Document


def event_document(event: Event) -> Document:
    """Make the `extractions` document of an event; its `_id` and `id` are the event's id."""
    update, placement = event.update, event.placement
    document: Document = {
        "_id": ObjectId(event.id),
        "id": event.id,
        "file_id": update.resource_id,
        "extractor_id": update.extractor_id,
        "job_id": update.job_id,
        "status": update.status,
        "start": update.event_time,
        "state": update.state.value,
        "message": update.message,
        "queue": event.queue,
        "seq": event.seq,
        "received_at": event.received_at,
    }
    if placement is not None:
        document["position"] = placement.position
        document["attempt"] = placement.attempt
        document["late"] = placement.late
    if update.state.is_end:
        document["end"] = update.event_time
    for name, value in (
        ("user_id", update.user_id),
        ("percent", update.percent),
        ("producer_id", update.producer_id),
        ("sequence", update.sequence),
        ("instance_id", update.instance_id),
        ("message_id", event.message_id),
        ("correlation_id", event.correlation_id),
        ("replay_id", event.replay_id),
        ("letter_id", event.letter_id),
        ("bridge_term", event.bridge_term),
        ("maybe_repeated", event.maybe_repeated),
    ):
        if value is not None:
            document[name] = value
    return document


def event_from(document: Mapping[str, Any]) -> Event:
    """Read an event back from its document."""
    get = document.get
    return Event(
        id=str(document["_id"]),
        queue=document["queue"],
        seq=document["seq"],
        received_at=document["received_at"],
        update=StatusUpdate(
            extractor_id=document["extractor_id"],
            resource_id=document["file_id"],
            job_id=get("job_id"),
            status=document["status"],
            state=Status(document["state"]),
            message=document["message"],
            event_time=document["start"],
            user_id=get("user_id"),
            percent=get("percent"),
            producer_id=get("producer_id"),
            sequence=get("sequence"),
            instance_id=get("instance_id"),
        ),
        placement=Placement(position=document["position"], attempt=document["attempt"], late=document["late"])
        if "position" in document
        else None,
        message_id=get("message_id"),
        correlation_id=get("correlation_id"),
        replay_id=get("replay_id"),
        letter_id=get("letter_id"),
        bridge_term=get("bridge_term"),
        maybe_repeated=get("maybe_repeated"),
    )


def job_document(job: JobState) -> Document:
    """Make the `jobs` document of a job; its `_id` is the job id."""
    document: Document = {
        "_id": job.job_id,
        "extractor_id": job.extractor_id,
        "resource_id": job.resource_id,
        "user_id": job.user_id,
        "status": job.status.value,
        "message": job.message,
        "percent": job.percent,
        "submitted_at": job.submitted_at,
        "started_at": job.started_at,
        "begun_at": job.begun_at,
        "updated_at": job.updated_at,
        "finished_at": job.finished_at,
        "seen_at": job.seen_at,
        "attempts": job.attempts,
        "event_count": job.event_count,
    }
    if job.owner_id is not None:
        document["owner_id"] = job.owner_id
    if job.instance_id is not None:
        document["instance_id"] = job.instance_id
    if job.producers:
        # A list, because a producer's id may hold characters that field names may not.
        document["producers"] = [
            {"id": producer, "highest": progress.highest, "missing": [list(gap) for gap in progress.missing]}
            for producer, progress in job.producers.items()
        ]
    return document


def job_from(document: Mapping[str, Any]) -> JobState:
    """Read a job back from its document."""
    get = document.get
    return JobState(
        job_id=document["_id"],
        extractor_id=document["extractor_id"],
        resource_id=document["resource_id"],
        user_id=get("user_id"),
        status=Status(document["status"]),
        message=document["message"],
        percent=get("percent"),
        submitted_at=get("submitted_at"),
        started_at=get("started_at"),
        updated_at=document["updated_at"],
        finished_at=get("finished_at"),
        seen_at=document["seen_at"],
        attempts=document["attempts"],
        event_count=document["event_count"],
        owner_id=get("owner_id"),
        instance_id=get("instance_id"),
        producers={
            progress["id"]: ProducerProgress(
                highest=progress["highest"], missing=[(first, last) for first, last in progress["missing"]]
            )
            for progress in get("producers", ())
        },
    )
