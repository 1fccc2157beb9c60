"""The reporter for asyncio workers."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from jobtrail.models.topology import DEFAULT_REPLY_STREAM
from jobtrail.publisher.async_sender import AsyncSender
from jobtrail.publisher.base_reporter import BaseReporter
from jobtrail.publisher.output.scope import JobScope
from jobtrail.publisher.reporter import CLOSE_TIMEOUT_S
from jobtrail.publisher.request import Request, RequestProperties
from jobtrail.publisher.spool.spool import DEFAULT_MAX_UPDATES


class AsyncJob:
    """One attempt at one job: STARTED on entry of its `async with`; SUCCEEDED or ERROR (the exception's text) on exit.

    Each update is written to the spool right in the event loop: 30 µs, while a hop to another thread takes 400.

    Args:
        scope: The job.
    """

    def __init__(self, scope: JobScope) -> None:
        self._scope = scope

    @property
    def job_id(self) -> str:
        """The job's id: the request's, else a new UUID."""
        return self._scope.job_id

    @property
    def resource_id(self) -> str:
        """The file's or dataset's id."""
        return self._scope.resource_id

    async def progress(self, message: str, percent: float | None = None) -> None:
        """Say what the worker is doing; see `JobScope.progress`.

        Args:
            message: In words.
            percent: How much is done, 0 to 100.
        """
        self._scope.progress(message, percent)
        await asyncio.sleep(0)  # lets the sender and the others have their turn

    async def skip(self, reason: str) -> None:
        """Say that the worker decided not to do the job; see `JobScope.skip`.

        Args:
            reason: Why.
        """
        self._scope.skip(reason)
        await asyncio.sleep(0)

    async def retry(self, message: str) -> None:
        """Say that this attempt failed and the work goes back to the queue; see `JobScope.retry`.

        Args:
            message: What happened.
        """
        self._scope.retry(message)
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        self._scope.make_current()
        self._scope.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._scope.leave_current()
        self._scope.finish(error)


class AsyncReporter(BaseReporter):
    """What `Reporter` is for threads, for an event loop: an `async with` of it, and of its jobs.

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
        self._amqp_url = amqp_url
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
        self._sender: AsyncSender | None = None

    def job(
        self,
        resource_id: str,
        job_id: str | None = None,
        user_id: str | None = None,
        reply_to: str | None = None,
        correlation_id: str | None = None,
    ) -> AsyncJob:
        """Begin a job; use it in an `async with` statement.

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
        return AsyncJob(JobScope(self._ledger, request))

    def job_from_request(
        self, body: bytes | str | Mapping[str, object], properties: RequestProperties | None = None
    ) -> AsyncJob:
        """Begin the job that a request from the worker's queue asks for; use it in an `async with` statement.

        Args:
            body: The message's body, or what was decoded from it.
            properties: What names its `reply_to` and `correlation_id`: an aio-pika message does.

        Returns:
            The job, with the request's job id or else a new UUID.

        Raises:
            DecodeError: The body is no JSON object, or names no resource.
        """
        return AsyncJob(JobScope(self._ledger, Request.parse(body, properties)))

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything said so far has been confirmed by the broker.

        Args:
            timeout_s: How long to wait, in seconds.

        Returns:
            Whether it was; updates for reply queues that do not exist are not waited for.
        """
        return await self._sender.flush(timeout_s) if self._sender else self.unsent == 0

    async def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Send what can be sent, then let go of broker and spool.

        What is left is sent by the next process on this spool folder.

        Args:
            timeout_s: How long to wait for the sending, in seconds.
        """
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.flush(timeout_s)
            self._ledger.on_append = None
            await sender.stop()
        await asyncio.to_thread(self._ledger.close)

    async def __aenter__(self) -> Self:
        name = f"jobtrail publisher {self._ledger.extractor_id}"
        self._sender = AsyncSender(self._amqp_url, name, self._ledger)
        self._ledger.on_append = self._sender.wake
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
