"""Answers to show in OpenAPI, made of records by the schemas themselves, so that they are always what they show."""

from datetime import UTC, datetime, timedelta

from jobtrail.heartbeat.liveness import Basis, Evidence, Stall, StallKind
from jobtrail.models.audit import AuditRecord
from jobtrail.models.datasets.dataset import Answer, DatasetStatus, Level, LogType, Notification, Ruling, StatusSource
from jobtrail.models.heartbeat import ExtractorRecord, ExtractorVersion, InstanceRecord
from jobtrail.models.jobs.job import Event, JobState, Placement
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import StatusUpdate
from jobtrail.models.notifications.outbox import DatasetNews, OutboxEntry, OutboxOverview, OutboxState
from jobtrail.models.settings import ChannelName
from jobtrail.models.token import Role
from jobtrail.operations.extractors import ListedExtractor, ListedInstance
from jobtrail.operations.job_list import JobList, ListedJob
from jobtrail.operations.resource_events import ExtractorEvents, JobEvents, ResourceEvents, UnnamedEvents
from jobtrail.operations.resource_groups import ListedGroup
from jobtrail.operations.schemas.acts import CancelledSchema, SubmittedSchema
from jobtrail.operations.schemas.audit import AuditListSchema
from jobtrail.operations.schemas.datasets import (
    DatasetCountsSchema,
    DatasetListSchema,
    DatasetSchema,
    LogListSchema,
    StorySchema,
)
from jobtrail.operations.schemas.extractors import ExtractorListSchema, ExtractorSchema
from jobtrail.operations.schemas.jobs import (
    EventPageSchema,
    JobListSchema,
    JobPageSchema,
    JobSchema,
    MessagePageSchema,
    UnnamedEventListSchema,
)
from jobtrail.operations.schemas.notifications import MarkedReadSchema, NotificationListSchema, NotificationSchema
from jobtrail.operations.schemas.outbox import OutboxSchema, RetriedSchema
from jobtrail.operations.schemas.resources import ResourceEventsSchema, ResourceGroupSchema, ResourceSchema
from jobtrail.store.datasets.story import Moment, MomentKind, Story
from jobtrail.store.datasets.views import DatasetCounts, DatasetRow, LogRow
from jobtrail.store.jobs.jobs import EventPage
from jobtrail.store.jobs.resources import ResourceGroup
from jobtrail.store.jobs.without_job_id import UnnamedGroup
from jobtrail.store.keyset import Page
from jobtrail.web.api.parameters import EXAMPLE_CURSOR

_EXTRACTOR, _RESOURCE, _USER = "ncsa.wordcount", "5cb2d2d3a4be0f9fd3400001", "alice"
_JOB_ID = "1f0b7a52-9f0f-4a3a-8a43-2a2fd0a0c3f1"
_AT = datetime(2026, 11, 22, 0, 14, 36, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """Return the time so many seconds after that of the examples."""
    return _AT + timedelta(seconds=seconds)


def _event(position: int | None, state: Status, message: str, at_s: float) -> Event:
    return Event(
        id=f"69210b1c00000000000000{position or 0:02}",
        queue="jobtrail.replies",
        seq=40 + (position or 0),
        received_at=after(at_s + 0.02),
        update=StatusUpdate(
            extractor_id=_EXTRACTOR,
            resource_id=_RESOURCE,
            job_id=_JOB_ID,
            status=f"{state}: {message}",
            state=state,
            message=message,
            event_time=after(at_s),
        ),
        placement=None if position is None else Placement(position=position, attempt=1, late=False),
    )


_RUNNING = ListedJob(
    job=JobState(
        job_id=_JOB_ID,
        extractor_id=_EXTRACTOR,
        resource_id=_RESOURCE,
        user_id=_USER,
        status=Status.PROCESSING,
        message="Counting words.",
        percent=40,
        submitted_at=_AT,
        started_at=after(6),
        updated_at=after(18),
        seen_at=after(18),
        attempts=1,
        event_count=3,
        instance_id="7c1d",
    ),
    stall=Stall(
        kind=StallKind.OWNER_LOST,
        since=after(20),
        basis=Basis.INFERRED,
        evidence="worker-1:4711 was last heard of 2 min ago; it sends a heartbeat every 10 s",
    ),
)
_GROUP = UnnamedGroup(
    extractor_id=_EXTRACTOR,
    resource_id=_RESOURCE,
    event_count=2,
    first_at=_AT,
    updated_at=after(5),
    status=Status.SUCCEEDED,
    message="Done processing.",
)
_EVENTS = EventPage(
    events=[
        _event(2, Status.STARTED, "Started processing.", 6),
        _event(3, Status.PROCESSING, "Counting words.", 18),
    ],
    previous=2,
    next=None,
)
_UNNAMED_EVENT = _event(None, Status.SUCCEEDED, "Done.", 5)
_DATASET = DatasetRow(
    key="69210b1c0000000000000001",
    dataset_id="ds-1",
    status=DatasetStatus.ANALYZING,
    group="Fashion",
    training_schedule="manual",
    created_at=_AT,
    updated_at=after(60),
    progress=40,
    error_message=None,
    answers={
        StatusSource.API: Answer(
            source=StatusSource.API, at=after(300), status=DatasetStatus.ANALYZING, progress=40, since=after(60)
        )
    },
    ruling=Ruling(source=StatusSource.API, reason="the API said so", at=after(60)),
)
_LOG = LogRow(
    key="69210b1c0000000000000002",
    dataset_id="ds-1",
    group="Fashion",
    type=LogType.STATUS_UPDATE,
    from_status=DatasetStatus.PENDING,
    to_status=DatasetStatus.ANALYZING,
    source=StatusSource.API,
    message="the API said so",
    run_id="run-7",
    created_at=after(60),
)
_NOTIFICATION = Notification(
    id="ds-1:Complete:alice",
    user_id=_USER,
    dataset_id="ds-1",
    history_key="69210b1c0000000000000001",
    level=Level.SUCCESS,
    title="Dataset ds-1 is complete",
    message="It was asked for in Fashion.",
    created_at=_AT,
)
_MESSAGE = OutboxEntry(
    key="ds-1:Complete:slack:C0123456789",
    channel=ChannelName.SLACK,
    recipient="C0123456789",
    body=DatasetNews(
        dataset_id="ds-1", status=DatasetStatus.COMPLETE, wishlist="Fashion", created_at=_AT, ended_at=after(300)
    ),
    cause="dataset.completed",
    created_at=_AT,
    not_before=after(2),
    dataset_id="ds-1",
    state=OutboxState.FAILED,
    attempts=10,
    error="channel_not_found",
)
_ONE_EXTRACTOR = ListedExtractor(
    record=ExtractorRecord(
        name=_EXTRACTOR,
        versions=(
            ExtractorVersion(
                version="2.0",
                info={"name": _EXTRACTOR, "version": "2.0", "description": "Counts words."},
                first_seen=_AT,
                last_seen=after(600),
            ),
        ),
    ),
    instances=[
        ListedInstance(
            record=InstanceRecord(
                instance_id="7c1d",
                extractor=_EXTRACTOR,
                version="2.0",
                first_seen=_AT,
                last_seen=after(600),
                queue=_EXTRACTOR,
                host="worker-1",
                pid=4711,
                interval_s=10,
                jobs=(_JOB_ID,),
            ),
            evidence=Evidence(
                online=True, since=after(600), basis=Basis.REPORTED, evidence="worker-1:4711 sent a heartbeat 3 s ago"
            ),
        )
    ],
)

JOB = JobSchema.model_validate(_RUNNING)
JOB_LIST = JobListSchema.model_validate(JobList(jobs=[_RUNNING], next=EXAMPLE_CURSOR, unnamed=[_GROUP]))
JOB_PAGE = JobPageSchema(jobs=[JOB], next=EXAMPLE_CURSOR)
EVENT_PAGE = EventPageSchema.model_validate(_EVENTS)
MESSAGE_PAGE = MessagePageSchema.model_validate(_EVENTS)
UNNAMED_EVENTS = UnnamedEventListSchema.model_validate(Page(rows=[_UNNAMED_EVENT], next=None))
RESOURCE_EVENTS = ResourceEventsSchema.model_validate(
    ResourceEvents(
        resource_id=_RESOURCE,
        extractors=[
            ExtractorEvents(
                extractor_id=_EXTRACTOR,
                jobs=[JobEvents(listed=_RUNNING, page=_EVENTS)],
                unnamed=UnnamedEvents(group=_GROUP, events=[_UNNAMED_EVENT]),
            )
        ],
        next=EXAMPLE_CURSOR,
    )
)
_LATEST = ResourceGroup(extractor_id=_EXTRACTOR, latest=_RUNNING.job, job_count=7, unnamed=_GROUP)
RESOURCE = ResourceSchema(
    resource_id=_RESOURCE,
    extractors=[ResourceGroupSchema.model_validate(ListedGroup(group=_LATEST, latest=_RUNNING))],
)
SUBMITTED = SubmittedSchema(job_id=_JOB_ID, queue=_EXTRACTOR, resource_id=_RESOURCE)
CANCELLED = CancelledSchema(job_id=_JOB_ID, queue=_EXTRACTOR, resource_id=_RESOURCE)
EXTRACTOR = ExtractorSchema.model_validate(_ONE_EXTRACTOR)
EXTRACTOR_LIST = ExtractorListSchema(extractors=[EXTRACTOR])
DATASET_LIST = DatasetListSchema(datasets=[DatasetSchema.of(_DATASET, after(600))], next=EXAMPLE_CURSOR)
DATASET_COUNTS = DatasetCountsSchema.model_validate(DatasetCounts(open=12, stuck=2, unknown=0))
LOG_LIST = LogListSchema.model_validate(Page(rows=[_LOG], next=None))
STORY = StorySchema.of_story(
    Story(
        dataset=_DATASET,
        status_since=after(60),
        moments=[
            Moment(at=_AT, kind=MomentKind.ASKED, state=None, subject="Fashion", message=None),
            Moment(
                at=after(60),
                kind=MomentKind.LOG,
                state=_LOG.to_status,
                subject=_LOG.source,
                message=_LOG.message,
                facts={"event_type": _LOG.type, "from": _LOG.from_status, "run_id": _LOG.run_id},
            ),
        ],
        cut=[],
    ),
    after(600),
)
NOTIFICATION = NotificationSchema.model_validate(_NOTIFICATION)
NOTIFICATION_LIST = NotificationListSchema(notifications=[_NOTIFICATION], next=None, unread=1)
MARKED_READ = MarkedReadSchema(marked=3)
OUTBOX = OutboxSchema.of(
    OutboxOverview(unsent=[_MESSAGE], sent=[], backlog={(ChannelName.SLACK, OutboxState.FAILED): 1})
)
RETRIED = RetriedSchema(retried=1)
AUDIT_LIST = AuditListSchema.model_validate(
    Page(
        rows=[
            AuditRecord(
                at=_AT,
                who="ci",
                role=Role.OPERATOR,
                user_id=None,
                act="job.cancel",
                target=_JOB_ID,
                origin="192.0.2.7",
                details={"queue": _EXTRACTOR},
                id="0d5f6a1c9b8e4f7a8c3d2e1f0a9b8c7d",
            )
        ],
        next=None,
    )
)
