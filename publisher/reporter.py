"""The reporter for workers with threads."""

import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from jobtrail.broker.address import connection_parameters
from jobtrail.models.topology import DEFAULT_REPLY_STREAM
from jobtrail.publisher.base_reporter import BaseReporter
from jobtrail.publisher.forking import tell_after_fork
from jobtrail.publisher.output.scope import JobScope
from jobtrail.publisher.request import Request, RequestProperties
from jobtrail.publisher.sender import Sender
from jobtrail.publisher.spool.spool import DEFAULT_MAX_UPDATES

CLOSE_TIMEOUT_S = 5.0


class Job(JobScope):
    """One attempt at one job: STARTED on entry of a `with`; SUCCEEDED, or ERROR with the exception's text, on exit."""

    def __enter__(self) -> Self:
        self.make_current()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave_current()
        self.finish(error)


class Reporter(BaseReporter):
    """Tells JobTrail what a worker does. Reporting writes to an on-disk spool and returns; a background thread sends.

    It may be used from any thread, and before a fork: children report on their own. A broker that is away does not
    disturb the worker: the updates wait in the spool, also across the worker's restart.

    Args:
        amqp_url: The broker, as `amqp://user:password@host:port/vhost`. The nodes of a cluster, parted by commas, are
            tried in turn: several such URLs, or several `host:port` in one.
        extractor_id: The worker's extractor, as in its ExtractorInfo.
        reply_queue: Where updates go when the job's request names no `reply_to`: a stream, or a queue.
        partitions: JobTrail's `JOBTRAIL_REPLY_PARTITIONS`; with more than 1, a job's updates go to one of the streams
            `reply_queue`.0, `reply_queue`.1 and so on, chosen by its id.
        spool_path: Folder for unsent updates; see `publisher.spool.folder.default_spool_path` for the default.
            Replicas of a worker may share it.
        max_spooled: How many updates the spool holds; beyond that the oldest progress is dropped.
        user_id: User of the jobs that name none.
        instance_id: Id of this worker process, the same as in its heartbeats; None makes a UUID.

    Raises:
        SettingError: The URL is wrong.
        ValueError: The extractor id is blank or longer than 512 characters; partitions are less than 1.
    """

    def __init__(
        self,
        amqp_url: str,
        extractor_id: str,
        *,
        reply_queue: str = DEFAULT_REPLY_STREAM,
        partitions: int = 1,
        spool_path: str | Path | None = None,
        max_spooled: int = DEFAULT_MAX_UPDATES,
        user_id: str | None = None,
        instance_id: str | None = None,
    ) -> None:
        self._nodes = connection_parameters(amqp_url, f"jobtrail publisher {extractor_id}")
        super().__init__(
            amqp_url,
            extractor_id,
            reply_queue=reply_queue,
            partitions=partitions,
            spool_path=spool_path,
            max_spooled=max_spooled,
            user_id=user_id,
            instance_id=instance_id,
        )
        self._lock = threading.Lock()
        self._closed = False
        self._sender: Sender | None = Sender(self._nodes, self._ledger)
        self._ledger.on_append = self._wake
        tell_after_fork(self)

    def job(
        self,
        resource_id: str,
        job_id: str | None = None,
        user_id: str | None = None,
        reply_to: str | None = None,
        correlation_id: str | None = None,
    ) -> Job:
        """Begin a job; use it in a `with` statement.

        Args:
            resource_id: The file's or dataset's id.
            job_id: The job; None makes a UUID.
            user_id: Who asked for it; None for the reporter's.
            reply_to: Stream or queue for its updates; None for the reporter's.
            correlation_id: The submitter's mark, sent back with every update.

        Returns:
            The job.

        Raises:
            ValueError: The resource id is blank or longer than 512 characters.
        """
        request = Request.create(
            resource_id, job_id=job_id, user_id=user_id, reply_to=reply_to, correlation_id=correlation_id
        )
        return Job(self._ledger, request)

    def job_from_request(
        self, body: bytes | str | Mapping[str, object], properties: RequestProperties | None = None
    ) -> Job:
        """Begin the job that a request from the worker's queue asks for; use it in a `with` statement.

        Args:
            body: The message's body, or what was decoded from it.
            properties: The message's AMQP properties: `reply_to` and `correlation_id` are taken from them.

        Returns:
            The job, with the request's job id or else a new UUID.

        Raises:
            DecodeError: The body is no JSON object, or names no resource.
        """
        return Job(self._ledger, Request.parse(body, properties))

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything said so far has been confirmed by the broker.

        Args:
            timeout_s: How long to wait, in seconds.

        Returns:
            Whether it was; updates for reply queues that do not exist are not waited for.
        """
        sender = self._sender
        return sender.flush(timeout_s) if sender else self.unsent == 0

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Send what can be sent, then let go of broker and spool.

        What is left is sent by the next process on this spool folder.

        Args:
            timeout_s: How long to wait for the sending, in seconds.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            sender, self._sender = self._sender, None
        if sender is not None:
            sender.flush(timeout_s)
            sender.stop(CLOSE_TIMEOUT_S)
        self._ledger.close()

    def _wake(self) -> None:
        sender = self._sender
        if sender is None and not self._closed:  # the first report of a forked child
            with self._lock:
                if self._sender is None and not self._closed:
                    self._sender = Sender(self._nodes, self._ledger)
                sender = self._sender
        if sender is not None:
            sender.wake()

    def after_fork(self) -> None:
        """In a forked child: the parent's thread and connection are not ours; ours start with the first report."""
        self._lock = threading.Lock()
        self._sender = None
        self._ledger.after_fork()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
