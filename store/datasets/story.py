"""One dataset's whole story in time order: its creation log, what its sources said, its jobs, and who was notified."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from jobtrail.models.errors import NotFoundError
from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status
from jobtrail.store.database import Document, translated
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.views import GROUP_STAGE, DatasetRow, dataset_row, log_row, moment_of, text_of
from jobtrail.store.jobs.jobs import JobRepository

MAX_OF_A_KIND = 1000
"""Moments of one kind that a story tells at the most: the latest ones."""

Fact = str | int | float | datetime | None
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


class MomentKind(StrEnum):
    """What happened."""

    ASKED = "asked"
    """The dataset was requested."""
    LOG = "log"
    """An entry of the creation log."""
    ANSWER = "answer"
    """A source said something new."""
    JOB = "job"
    BATCH_JOB = "batch job"
    NOTIFICATION = "notification"
    """A user found it in the application."""
    DELIVERY = "delivery"
    """A message to the outside."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Moment:
    """One thing that happened to a dataset. What the record behind it leaves out is None."""

    at: datetime | None
    kind: MomentKind
    state: str | None
    """The status that it tells of, in its kind's own words."""
    subject: str | None
    """Who or what: a source, an extractor, a viewpoint, a user, a channel with its recipient."""
    message: str | None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """What else is known, by name."""

    @property
    def notified_user(self) -> Fact:
        """The user who was notified, if it is about that."""
        if self.kind is MomentKind.NOTIFICATION:
            return self.subject
        return self.facts.get("user_id") if self.kind is MomentKind.DELIVERY else None


@dataclass(slots=True, frozen=True, kw_only=True)
class Story:
    """All that is known of one dataset."""

    dataset: DatasetRow
    status_since: datetime | None
    """Since when it has had its status."""
    moments: Sequence[Moment]
    """In time order; those without a time come first."""
    cut: Sequence[MomentKind]
    """Kinds of which only the latest `MAX_OF_A_KIND` are told."""


class DatasetStories:
    """Reads the stories of datasets."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._jobs = JobRepository(console.database)

    async def read(self, dataset_id: str) -> Story:
        """Read one dataset's story.

        Raises `NotFoundError`: there is no such dataset.
        """
        console = self._console
        with translated():
            pipeline: list[Document] = [{"$match": {"dataset_id": dataset_id}}, {"$limit": 1}, GROUP_STAGE]
            found = await (await console.histories.aggregate(pipeline)).to_list()
            if not found:
                raise NotFoundError(f"there is no dataset {dataset_id!r}")
            history: Mapping[str, Any] = found[0]
            # Entries that the console wrote name the history alone.
            entries = await _latest(console.creation_logs, {"wishlist_dataset_history_id": history["_id"]})
            batch_jobs = await _latest(console.batch_jobs, {"dataset_id": dataset_id})
            notifications = await _latest(console.notifications, {"dataset_id": dataset_id})
            outbox = await _latest(console.database.outbox, {"dataset_id": dataset_id})
        jobs = (await self._jobs.list(JobFilter(resource=dataset_id), limit=MAX_OF_A_KIND)).jobs
        dataset = dataset_row(history)
        moments = [
            Moment(at=dataset.created_at, kind=MomentKind.ASKED, state=None, subject=dataset.group, message=None),
            # Of what happened at the same time the cause comes first.
            *_answer_moments(history),
            *(_log_moment(entry) for entry in entries),
            *(moment for job in jobs for moment in _job_moments(job)),
            *(moment for batch_job in batch_jobs for moment in _batch_job_moments(batch_job)),
            *(_notification_moment(notification) for notification in notifications),
            *(_delivery_moment(entry) for entry in outbox),
        ]
        read: dict[MomentKind, Sequence[object]] = {
            MomentKind.LOG: entries,
            MomentKind.JOB: jobs,
            MomentKind.BATCH_JOB: batch_jobs,
            MomentKind.NOTIFICATION: notifications,
            MomentKind.DELIVERY: outbox,
        }
        return Story(
            dataset=dataset,
            status_since=_status_since(dataset, moments),
            moments=sorted(moments, key=lambda moment: moment.at or _BEFORE_ALL),
            cut=[kind for kind, records in read.items() if len(records) == MAX_OF_A_KIND],
        )


async def _latest(collection: AsyncCollection[Document], query: Document) -> Sequence[Mapping[str, Any]]:
    found = collection.find(query).sort("created_at", -1).limit(MAX_OF_A_KIND)
    return [document async for document in found]


def _status_since(dataset: DatasetRow, moments: Iterable[Moment]) -> datetime | None:
    changed = [
        moment.at
        for moment in moments
        if moment.kind is MomentKind.LOG and moment.state == dataset.status and moment.at is not None
    ]
    return max(changed, default=dataset.created_at)


def _log_moment(document: Mapping[str, Any]) -> Moment:
    row = log_row(document)
    return Moment(
        at=row.created_at,
        kind=MomentKind.LOG,
        state=row.to_status,
        subject=row.source,
        message=row.message,
        facts={"event_type": row.type, "from": row.from_status, "run_id": row.run_id},
    )


def _answer_moments(history: Mapping[str, Any]) -> Iterator[Moment]:
    for answer in history.get("earlier_answers") or ():
        yield Moment(
            at=moment_of(answer.get("at")),
            kind=MomentKind.ANSWER,
            state=text_of(answer.get("status")),
            subject=text_of(answer.get("source")),
            message=text_of(answer.get("error_message") or answer.get("detail")),
            facts={"progress": answer.get("progress"), "problem": text_of(answer.get("problem"))},
        )


def _job_moments(job: JobState) -> Iterator[Moment]:
    """Tell when a job began, and how it is now."""
    facts: dict[str, Fact] = {"job_id": job.job_id, "attempts": job.attempts}
    began = (job.started_at, Status.STARTED, None) if job.started_at else (job.submitted_at, Status.SUBMITTED, None)
    latest = (job.updated_at, job.status, job.message)
    for at, status, message in (began, latest) if began[0] and began[1] is not latest[1] else (latest,):
        yield Moment(
            at=at,
            kind=MomentKind.JOB,
            state=status.value,
            subject=job.extractor_id,
            message=message,
            facts=facts,
        )


def _batch_job_moments(document: Mapping[str, Any]) -> Iterator[Moment]:
    """Tell when a batch job was made, and how it is now."""
    get = document.get
    facts = {"job_id": text_of(get("job_id")), "progress": get("progress")}
    made, latest = moment_of(get("created_at")), moment_of(get("updated_at"))
    subject, state = text_of(get("viewpoint")), text_of(get("status"))
    if latest is not None and latest != made:
        yield Moment(
            at=made,
            kind=MomentKind.BATCH_JOB,
            state=None,
            subject=subject,
            message="made",
            facts={"job_id": facts["job_id"]},
        )
    yield Moment(
        at=latest or made,
        kind=MomentKind.BATCH_JOB,
        state=state,
        subject=subject,
        message=text_of(get("message")),
        facts=facts,
    )


def _notification_moment(document: Mapping[str, Any]) -> Moment:
    get = document.get
    return Moment(
        at=moment_of(get("created_at")),
        kind=MomentKind.NOTIFICATION,
        state=text_of(get("level")),
        subject=text_of(get("user_id")),
        message=text_of(get("title")),
        facts={"read_at": moment_of(get("read_at"))},
    )


def _delivery_moment(document: Mapping[str, Any]) -> Moment:
    get = document.get
    return Moment(
        at=moment_of(get("sent_at") or get("created_at")),
        kind=MomentKind.DELIVERY,
        state=text_of(get("state")),
        subject=f"{get('channel')} to {get('recipient')}",
        message=text_of(get("error")),
        facts={"key": text_of(document["_id"]), "attempts": get("attempts"), "user_id": text_of(get("user_id"))},
    )
