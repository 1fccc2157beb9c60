"""The write side of datasets: open histories, and their changes, whole or not at all.

A change is one transaction over three databases: history, creation log, batch jobs, notifications, the group's flag,
the crawler's schedules, and the outbox. Several datasets' changes share one transaction, because a commit costs more
than what it commits.
"""

from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from bson.errors import BSONError
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure

from jobtrail.models.datasets.change import Change, News
from jobtrail.models.datasets.dataset import Answer, CreationLog, Group, History
from jobtrail.models.errors import ChangeRefusedError, NotFoundError, RecordError
from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.redaction import redact
from jobtrail.store.database import DUPLICATE_KEY, REFUSALS, Document, translated
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.documents import (
    answer_document,
    batch_job_document,
    group_from,
    history_from,
    log_document,
    notification_document,
    open_query,
)
from jobtrail.store.leases.fenced_writer import FencedWriter
from jobtrail.store.notifications.documents import entry_document

CHUNK = 200
"""Histories that are read, and changes that are written, together at the most."""
_KEPT_ANSWERS = 50
"""Earlier answers that a history keeps."""
_UNAUTHORIZED = 13


class DatasetRepository:
    """Reads open histories and writes what became of them; one writer of a purpose at a time."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._writer = FencedWriter(console.database)

    async def take_over(self, purpose: str) -> None:
        """Become the one that writes for a purpose; see `FencedWriter.take_over`."""
        await self._writer.take_over(purpose)

    async def close(self) -> None:
        """Give the session back to the server."""
        await self._writer.close()

    async def get(self, dataset_id: str) -> History:
        """Read one dataset's history.

        Raises `NotFoundError`: there is none.
        """
        with translated():
            document = await self._console.histories.find_one({"dataset_id": dataset_id})
        if document is None:
            raise NotFoundError(f"there is no dataset {dataset_id!r}")
        return history_from(document)

    async def count_open(self, dataset_ids: Collection[str] | None = None) -> int:
        """Count the histories that are to be watched.

        `dataset_ids`: only these; None means all.
        """
        with translated():
            return await self._console.histories.count_documents(open_query(dataset_ids))

    async def open(
        self, dataset_ids: Collection[str] | None = None
    ) -> AsyncGenerator[tuple[Sequence[History], Sequence[RecordError]]]:
        """Read the histories that are to be watched, those first whose news is the oldest.

        `dataset_ids`: only these; None means all. Yields up to `CHUNK` histories, and the errors of records that are
        none.
        """
        query = open_query(dataset_ids)
        # What a chunk's change does to the order must not make the cursor skip or repeat others.
        with translated():
            keys = [
                document["_id"]
                async for document in self._console.histories.find(query, {"_id": 1}).sort("updated_at", 1)
            ]
            for at in range(0, len(keys), CHUNK):
                histories: list[History] = []
                broken: list[RecordError] = []
                async for document in self._console.histories.find({**query, "_id": {"$in": keys[at : at + CHUNK]}}):
                    try:
                        histories.append(history_from(document))
                    except RecordError as error:
                        broken.append(error)
                yield histories, broken

    async def groups(self, keys: Collection[object]) -> tuple[dict[object, Group], dict[object, RecordError]]:
        """Read wishlist groups.

        Returns those that exist, and the errors of those that are none, both by `_id`.
        """
        groups: dict[object, Group] = {}
        broken: dict[object, RecordError] = {}
        with translated():
            async for document in self._console.groups.find({"_id": {"$in": list(keys)}}):
                try:
                    groups[document["_id"]] = group_from(document)
                except RecordError as error:
                    broken[document["_id"]] = error
        return groups, broken

    async def apply(self, changes: Sequence[Change]) -> Sequence[Change]:
        """Make changes in one transaction: all of them, or none.

        Returns those that were made. The others' status is no longer the one that was read: somebody was faster. Raises
        `ChangeRefusedError`: the database refused one for good; none is made.
        """

        async def work(session: AsyncClientSession) -> Sequence[Change]:
            made = await self._still_due(changes, session)
            if made:
                await self._write(made, session)
            return made

        return await self._writer.transact(work)

    async def _still_due(self, changes: Sequence[Change], session: AsyncClientSession) -> Sequence[Change]:
        keys = [change.history.key for change in changes]
        found = self._console.histories.find({"_id": {"$in": keys}}, {"status": 1}, session=session)
        stored = {document["_id"]: document["status"] async for document in found}
        return [change for change in changes if stored.get(change.history.key) == change.history.status.value]

    async def _write(self, changes: Sequence[Change], session: AsyncClientSession) -> None:
        console = self._console
        with _step(AlertKind.UPDATE_FAILED):
            updates = [_history_update(change) for change in changes]
            await console.histories.bulk_write(updates, ordered=False, session=session)
        with _step(AlertKind.LOG_FAILED):
            await console.creation_logs.insert_many([log_document(change.log) for change in changes], session=session)
        with _step(AlertKind.BATCH_JOB_FAILED):
            batch_jobs = [batch_job_document(job) for change in changes for job in change.batch_jobs]
            await _insert_missing(console.batch_jobs, batch_jobs, ("dataset_id", "viewpoint"), session)
        with _step(AlertKind.NOTIFICATION_FAILED):
            notifications = [notification_document(each) for change in changes for each in change.notifications]
            await _insert_missing(console.notifications, notifications, ("_id",), session)
        with _step(AlertKind.CLEAN_UP_FAILED):
            await self._clean_up(changes, session)
        with _step(AlertKind.OUTBOX_FAILED):
            entries = [entry_document(entry) for change in changes for entry in change.outbox]
            await _insert_missing(console.database.outbox, entries, ("_id",), session)

    async def _clean_up(self, changes: Sequence[Change], session: AsyncClientSession) -> None:
        asked = [change.history.group_key for change in changes if change.clears_manual_request]
        if asked:
            query: Document = {"_id": {"$in": asked}, "is_manual_request": True}
            await self._console.groups.update_many(query, {"$set": {"is_manual_request": False}}, session=session)
        over = {change.history.group_key: change for change in changes if change.cancels_schedules}
        for key, change in over.items():
            query = {"wishlist_to_group_id": key, "type": "once", "status": "scheduled"}
            reason = f"dataset {change.history.dataset_id} is {change.to_status}"
            cancelled = {"status": "cancelled", "cancelled_at": change.ruling.at, "cancel_reason": reason}
            await self._console.crawler_schedules.update_many(query, {"$set": cancelled}, session=session)

    async def note(self, news: Sequence[News]) -> None:
        """Keep what the sources said of datasets that stay as they are; one that has changed meanwhile is left alone.

        Raises `ChangeRefusedError`: the database refused some of it for good; the rest is kept.
        """
        if not news:
            return
        updates = [
            UpdateOne({"_id": each.history.key, "status": each.history.status.value}, _news_update(each))
            for each in news
        ]
        with translated(), _step(AlertKind.UPDATE_FAILED):
            await self._console.histories.bulk_write(updates, ordered=False)

    async def log(self, entries: Sequence[CreationLog]) -> None:
        """Write entries of the creation log that belong to no change.

        Raises `ChangeRefusedError`: the database refused one for good.
        """
        if entries:
            with translated(), _step(AlertKind.LOG_FAILED):
                await self._console.creation_logs.insert_many([log_document(entry) for entry in entries])


def with_since(answer: Answer, before: Answer | None) -> Answer:
    """Complete an answer with the time since which its source has said so."""
    same = before is not None and (answer.status, answer.problem) == (before.status, before.problem)
    return replace(answer, since=before.since if before and same else answer.at)


def _history_update(change: Change) -> UpdateOne:
    update = _news_update(
        News(history=change.history, answers=change.answers, progress=change.progress), changed_at=change.ruling.at
    )
    update["$set"] |= {  # type: ignore[operator]
        "status": change.to_status.value,
        "error_message": change.error_message,
        "ruling": {"source": change.ruling.source.value, "reason": change.ruling.reason, "at": change.ruling.at},
    }
    return UpdateOne({"_id": change.history.key, "status": change.history.status.value}, update)


def _news_update(news: News, changed_at: datetime | None = None) -> Document:
    fields: Document = {}
    new: list[Document] = []
    for answer in news.answers:
        before = news.history.answers.get(answer.source)
        fields[f"answers.{answer.source}"] = answer_document(with_since(answer, before))
        if not answer.says_same(before):
            new.append({"source": answer.source.value, **answer_document(answer)})
    if news.progress is not None and news.progress != news.history.progress:
        fields["progress"] = news.progress
        changed_at = changed_at or max(answer.at for answer in news.answers)
    if changed_at is not None:
        fields["updated_at"] = changed_at
    update: Document = {"$set": fields}
    if new:
        update["$push"] = {"earlier_answers": {"$each": new, "$slice": -_KEPT_ANSWERS}}
    return update


async def _insert_missing(
    collection: AsyncCollection[Document],
    documents: Sequence[Document],
    identity: Sequence[str],
    session: AsyncClientSession,
) -> None:
    """Insert what is not there yet; what is there stays as it is."""
    if documents:
        inserts = [
            UpdateOne({name: document[name] for name in identity}, {"$setOnInsert": document}, upsert=True)
            for document in documents
        ]
        await collection.bulk_write(inserts, ordered=False, session=session)


@contextmanager
def _step(kind: AlertKind) -> Iterator[None]:
    """Tell which part of a change the database refused for good; anything else passes through."""
    try:
        yield
    except (DocumentTooLarge, BSONError) as error:
        raise ChangeRefusedError(kind, redact(str(error))[:300]) from error
    except OperationFailure as error:
        failures = [{"code": error.code, "errmsg": str(error)}]
        if isinstance(error, BulkWriteError):
            failures = error.details.get("writeErrors") or failures
        first = failures[0]
        if first["code"] not in REFUSALS | {_UNAUTHORIZED, DUPLICATE_KEY}:
            raise
        raise ChangeRefusedError(kind, redact(str(first["errmsg"]))[:300]) from error
