"""What a worker process has said and is at work on: numbers each update, encodes it and puts it into the spool.

Shared by the pika and the aio-pika reporter; knows nothing of brokers.
"""

import logging
import math
import os
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from jobtrail.models.errors import SpoolFullError
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import MAX_NAME_LENGTH, encode_status_update
from jobtrail.models.topology import stream_of
from jobtrail.publisher.forking import guard
from jobtrail.publisher.outgoing import OutgoingUpdate, encodable
from jobtrail.publisher.request import Request
from jobtrail.publisher.spool.folder import OwnedSpool, SpoolFolder
from jobtrail.publisher.spool.spool import DEFAULT_MAX_UPDATES, Spool

logger = logging.getLogger(__name__)

MAX_MESSAGE_CHARS = 65_536
"""Longer messages are cut, so that an update always stays far below what the consumer stores."""
MAX_NUMBERED_JOBS = 10_000
"""Jobs whose numbering a producer remembers; after that many, the process goes on under a new producer id."""


@dataclass(slots=True)
class Numbering:
    """One producer id and the latest sequence number of each of its jobs."""

    producer_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    latest: dict[str, int] = field(default_factory=dict)
    process_id: int = field(default_factory=os.getpid)

    def next(self, job_id: str) -> int:
        """Return the next number of a job, from 1."""
        number = self.latest[job_id] = self.latest.get(job_id, 0) + 1
        return number


class SpoolLedger:
    """Thread-safe and fork-safe.

    Args:
        extractor_id: The worker's extractor, 1 to 512 characters.
        reply_queue: Where the updates of jobs without a `reply_to` go: a queue, or a stream.
        partitions: How many streams of that name there are; a job's updates all go to one of them.
        spool_path: Folder of the spools.
        max_spooled: Updates that the spool holds at most.
        instance_id: The worker process, as in its heartbeats; None makes a UUID.
        user_id: User of the jobs that name none.

    Raises:
        ValueError: The extractor id is blank or too long, or there are less partitions than one.
    """

    def __init__(
        self,
        extractor_id: str,
        *,
        reply_queue: str,
        partitions: int = 1,
        spool_path: Path,
        max_spooled: int = DEFAULT_MAX_UPDATES,
        instance_id: str | None = None,
        user_id: str | None = None,
    ) -> None:
        if partitions < 1:
            raise ValueError(f"partitions must be at least 1, not {partitions}")
        if not extractor_id.strip() or len(extractor_id) > MAX_NAME_LENGTH:
            raise ValueError(f"extractor_id must have 1 to {MAX_NAME_LENGTH} characters")
        self.extractor_id = extractor_id
        self._reply_queue = reply_queue
        self._partitions = partitions
        self.user_id = user_id
        self.instance_id = instance_id or str(uuid.uuid4())
        self._folder = SpoolFolder(spool_path, max_spooled)
        self._numbering = Numbering()
        self._running: Counter[str] = Counter()
        self._fresh_keys: set[str] = set()
        self._lost = 0
        self._closed = False
        self._replaced: OwnedSpool | None = None
        self._owned: OwnedSpool | None = self._folder.open()
        self.on_append: Callable[[], None] | None = None

    @property
    def spool(self) -> Spool:
        """The spool in use; opened again after a fork or after `close`."""
        owned = self._owned
        if owned is None:
            with guard:
                owned = self._owned = self._owned or self._folder.open(adopt=not self._closed)
        return owned.spool

    @property
    def lost(self) -> int:
        """Updates that were dropped because the spool was full, or could not be kept at all."""
        with guard:
            return self._lost + (self._owned.spool.dropped if self._owned else 0)

    def begin(self, job_id: str) -> Numbering:
        """Note that a job is in flight.

        Args:
            job_id: The job.

        Returns:
            The numbering of its updates.
        """
        with guard:
            self._running[job_id] += 1
            if len(self._numbering.latest) >= MAX_NUMBERED_JOBS and job_id not in self._numbering.latest:
                # A pair of producer and job must never start at 1 twice, and must not be remembered for ever.
                self._numbering = Numbering()
            return self._numbering

    def end(self, job_id: str) -> None:
        """Note that a job is no longer in flight.

        Args:
            job_id: The job.
        """
        with guard:
            self._running[job_id] -= 1
            if self._running[job_id] <= 0:
                del self._running[job_id]

    def jobs_in_flight(self) -> frozenset[str]:
        """Return the ids of the jobs that this process is at work on."""
        with guard:
            return frozenset(self._running)

    def record(
        self, request: Request, numbering: Numbering, state: Status, message: str, percent: float | None = None
    ) -> None:
        """Number one update and keep it until the broker has it. Want of room or disk is logged and counted only.

        Args:
            request: The job.
            numbering: What `begin` returned for it.
            state: What happened.
            message: In which words; cut after 65,536 characters.
            percent: Progress, 0 to 100; a value outside is moved to the nearer end.
        """
        routing_key = request.reply_to or stream_of(self._reply_queue, self._partitions, request.job_id)
        with guard:
            now = datetime.now(UTC)
            update = OutgoingUpdate(
                message_id=str(uuid.uuid4()),
                routing_key=routing_key,
                correlation_id=request.correlation_id,
                timestamp=int(now.timestamp()),
                body=encode_status_update(
                    extractor_id=self.extractor_id,
                    resource_id=request.resource_id,
                    job_id=request.job_id,
                    state=state,
                    message=_clean(message),
                    event_time=now,
                    extra={
                        "user_id": request.user_id or self.user_id,
                        "percent": _in_range(percent),
                        "instance_id": self.instance_id,
                        **_numbers(numbering, request.job_id),
                    },
                ),
                droppable=state is Status.PROCESSING,
            )
            self._keep(update)
            self._fresh_keys.add(routing_key)
        if self.on_append is not None:
            self.on_append()

    def _keep(self, update: OutgoingUpdate) -> None:
        try:
            before = self.spool.dropped
            self.spool.append(update)
            if self.spool.dropped > before:
                self._log_lost("The spool is full: the oldest progress is dropped")
        except SpoolFullError as error:
            self._lost += 1
            self._log_lost(f"An update could not be kept: {error}")
        except sqlite3.Error as error:
            self._go_on_in_memory(error)
            self.spool.append(update)

    def _go_on_in_memory(self, error: sqlite3.Error) -> None:
        logger.error(
            "The spool's disk refuses updates, they are kept in memory only: %s",
            error,
            extra={"action": "publisher.spool_in_memory"},
        )
        full, self._owned = self._owned, self._folder.in_memory()
        if full is None or full.spool.path is None:
            return
        self._replaced = full
        try:
            self._owned.spool.copy_from(full.spool)
        except sqlite3.Error as unreadable:
            logger.error(
                "The spool's disk cannot be read either: %s", unreadable, extra={"action": "publisher.spool_unreadable"}
            )

    def _log_lost(self, text: str) -> None:
        lost = self.lost
        if lost in (1, 10, 100) or lost % 1000 == 0:
            logger.error("%s; %d lost so far", text, lost, extra={"action": "publisher.updates_lost"})

    def fresh_keys(self) -> set[str]:
        """Return the reply queues that got new updates since the last call."""
        with guard:
            fresh, self._fresh_keys = self._fresh_keys, set()
            return fresh

    def adopt(self) -> None:
        """Take over what dead processes left in the folder; a failure is logged. For the sender's thread only."""
        owned = self._owned
        if owned is None or owned.spool.path is None:
            return
        try:
            if self._folder.adopt_into(owned.spool):
                fresh = owned.spool.routing_keys()
                with guard:
                    self._fresh_keys.update(fresh)
        except (OSError, sqlite3.Error) as error:
            logger.warning(
                "Left-over spools cannot be adopted: %s", error, extra={"action": "publisher.spool_adopt_failed"}
            )

    def close(self) -> int:
        """Give the spool back. What is still reported later goes to a new file, for the next process.

        Returns:
            How many updates are left for the next process.
        """
        with guard:
            self._closed = True
            owned, self._owned = self._owned, None
            replaced, self._replaced = self._replaced, None
            if owned is None:
                return 0
            self._lost += owned.spool.dropped
            if replaced is not None:
                _put_back(owned.spool, replaced.spool)
                owned.close()
                return replaced.close()
            return owned.close()

    def after_fork(self) -> None:
        """In a forked child: a spool and a numbering of its own; the parent's jobs are not in flight here."""
        self._numbering = Numbering()
        self._running = Counter()
        self._fresh_keys = set()
        self._lost = 0
        for owned in (self._owned, self._replaced):
            if owned is not None:
                owned.abandon()
        self._owned = self._replaced = None


def _put_back(memory: Spool, disk: Spool) -> None:
    """What the disk refused may fit now. At the worst a confirmed update is sent again, under the same message id."""
    try:
        if len(memory) == 0:
            disk.clear()
        else:
            disk.import_from(memory)
    except sqlite3.Error as error:
        logger.error(
            "%d updates could not be sent and are lost: %s",
            len(memory),
            error,
            extra={"action": "publisher.updates_lost"},
        )


def _numbers(numbering: Numbering, job_id: str) -> dict[str, object]:
    # A forked child speaks about its parent's job without a number: only one process can count.
    if numbering.process_id != os.getpid():
        return {}
    return {"producer_id": numbering.producer_id, "sequence": numbering.next(job_id)}


def _clean(message: object) -> str:
    text = str(message)
    if len(text) > MAX_MESSAGE_CHARS:
        text = f"{text[:MAX_MESSAGE_CHARS]}… ({len(text)} characters)"
    return encodable(text)


def _in_range(percent: float | None) -> float | None:
    if percent is None or math.isnan(percent):
        return None
    return min(100.0, max(0.0, percent))
