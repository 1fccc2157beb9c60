"""The reporter for asyncio workers."""

import asyncio
from types import TracebackType
from typing import Self

from jobtrail.publisher.async_sender import AsyncSender
from jobtrail.publisher.base_reporter import BaseReporter
from jobtrail.publisher.output.scope import JobScope
from jobtrail.publisher.reporter import CLOSE_TIMEOUT_S
from jobtrail.publisher.request import Request


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


class AsyncReporter(BaseReporter[AsyncJob]):
    """What `Reporter` is for threads, for an event loop: an `async with` of it, and of its jobs.

    Its parameters are described at `BaseReporter.__init__`.
    """

    def _open(self) -> None:
        self._sender: AsyncSender | None = None  # begins with the event loop

    def _job(self, request: Request) -> AsyncJob:
        return AsyncJob(JobScope(self._ledger, request))

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
