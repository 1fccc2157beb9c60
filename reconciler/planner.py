"""Plans a dataset's change with everything that follows from it. Nothing here does anything."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from jobtrail.models.datasets.change import Change
from jobtrail.models.datasets.dataset import (
    Answer,
    BatchJob,
    BatchJobStatus,
    CreationLog,
    DatasetStatus,
    Group,
    History,
    Level,
    LogType,
    Notification,
    Ruling,
    StatusSource,
    without_id,
)
from jobtrail.models.notifications.outbox import GROUPING_S, DatasetNews, OutboxEntry
from jobtrail.reconciler.channels.base import NotificationChannel
from jobtrail.reconciler.decision import Decision

_BATCH_JOBS = UUID("5f3c8c1e-94a5-4a0f-b3ab-0b4d5b2c9e61")
"""Namespace of the batch jobs' ids: a dataset's viewpoint has the same job id however often it is planned."""
_CAUSE_CHARS = 200


def plan_change(
    history: History,
    group: Group,
    decision: Decision,
    answers: Sequence[Answer],
    *,
    run_id: str,
    at: datetime,
    channels: Sequence[NotificationChannel],
) -> Change:
    """Plan one change.

    `at`: now, UTC. Returns the change with its log entry and, at an end, batch jobs, notifications, clean-up and
    messages.
    """
    answer = decision.answer
    assert answer is not None  # noqa: S101  # a status changes by an answer only
    status = decision.status
    error_message = (answer.error_message or "no reason was given") if status is DatasetStatus.FAILED else None
    base = Change(
        history=history,
        to_status=status,
        ruling=Ruling(source=answer.source, reason=decision.reason, at=at),
        answers=answers,
        progress=100.0 if status is DatasetStatus.COMPLETE else answer.progress,
        error_message=error_message,
        log=_log_entry(
            history,
            to_status=status,
            source=answer.source,
            message=f"{decision.reason}: {error_message}" if error_message else decision.reason,
            run_id=run_id,
            at=at,
        ),
    )
    return _with_effects(base, group, at, channels) if status.is_end else base


def plan_failure(history: History, decision: Decision, *, run_id: str, at: datetime) -> CreationLog:
    """Plan the log entry of a change that is not made because its status can't follow the stored one.

    `at`: now, UTC.
    """
    answer = decision.answer
    assert answer is not None  # noqa: S101  # what is refused was said
    entry = _log_entry(
        history, to_status=answer.status, source=answer.source, message=decision.reason, run_id=run_id, at=at
    )
    return as_failure(entry, decision.reason)


def as_failure(entry: CreationLog, why: str) -> CreationLog:
    """Turn a change's log entry into the one that says that it was not made."""
    return replace(entry, type=LogType.FAILURE, message=f"status not changed: {why}")


def _log_entry(
    history: History,
    *,
    to_status: DatasetStatus | None,
    source: StatusSource,
    message: str,
    run_id: str,
    at: datetime,
) -> CreationLog:
    return CreationLog(
        history_key=history.key,
        group_key=history.group_key,
        dataset_id=history.dataset_id,
        type=LogType.STATUS_UPDATE,
        from_status=history.status,
        to_status=to_status,
        source=source,
        message=message,
        run_id=run_id,
        created_at=at,
    )


def _with_effects(base: Change, group: Group, at: datetime, channels: Sequence[NotificationChannel]) -> Change:
    complete = base.to_status is DatasetStatus.COMPLETE
    batch_jobs = [_batch_job(base.history, viewpoint, at) for viewpoint in group.viewpoints] if complete else []
    news = DatasetNews(
        dataset_id=base.history.dataset_id,
        status=base.to_status,
        wishlist=group.name,
        created_at=base.history.created_at,
        ended_at=at,
        error_message=base.error_message,
        batch_jobs={job.viewpoint: job.job_id for job in batch_jobs} or None,
    )
    return replace(
        base,
        batch_jobs=batch_jobs,
        notifications=[_notification(base, news, user_id) for user_id in {user.id: None for user in group.users}],
        outbox=_messages(news, group, at, channels),
        clears_manual_request=complete and group.manual_request,
        cancels_schedules=complete and group.is_manual,
    )


def _batch_job(history: History, viewpoint: str, at: datetime) -> BatchJob:
    return BatchJob(
        dataset_id=history.dataset_id,
        history_key=history.key,
        group_key=history.group_key,
        viewpoint=viewpoint,
        job_id=str(uuid5(_BATCH_JOBS, f"{history.dataset_id}\n{viewpoint}")),
        status=BatchJobStatus.PENDING,
        created_at=at,
        updated_at=at,
    )


def _notification(change: Change, news: DatasetNews, user_id: str) -> Notification:
    if change.to_status is DatasetStatus.COMPLETE:
        level, title = Level.SUCCESS, f"The dataset of {news.wishlist} is complete"
        message = f"Dataset {news.dataset_id} is ready to use."
    else:
        level, title = Level.FAILURE, f"The dataset of {news.wishlist} failed"
        message = f"Dataset {news.dataset_id} could not be made: {news.error_message}"
    return Notification(
        id=f"{news.dataset_id}:{news.status}:{user_id}",
        user_id=user_id,
        dataset_id=news.dataset_id,
        history_key=change.history.key,
        level=level,
        title=title,
        message=message,
        created_at=news.ended_at,
    )


def _messages(
    news: DatasetNews, group: Group, at: datetime, channels: Sequence[NotificationChannel]
) -> list[OutboxEntry]:
    """Write one message per recipient; two users with one address get one."""
    entries = {}
    for channel in channels:
        for recipient in channel.recipients(news, group):
            key = f"{news.dataset_id}:{news.status}:{channel.name}:{recipient.address}"
            entries[key] = OutboxEntry(
                key=key,
                channel=channel.name,
                recipient=recipient.address,
                body=news,
                cause=_cause(news),
                created_at=at,
                not_before=at + timedelta(seconds=GROUPING_S if channel.groups else 0),
                dataset_id=news.dataset_id,
                user_id=recipient.user_id,
            )
    return list(entries.values())


def _cause(news: DatasetNews) -> str:
    """Name what several datasets may have in common: the same error but for ids and numbers."""
    text = without_id(news.error_message or "", news.dataset_id)
    return f"{news.event}: {re.sub(r'[0-9a-f]*[0-9][0-9a-f]*', '…', text)[:_CAUSE_CHARS]}"
