"""The reporter for workers with threads."""

import threading
from types import TracebackType
from typing import Self

from jobtrail.broker.address import connection_parameters
from jobtrail.publisher.base_reporter import BaseReporter
from jobtrail.publisher.forking import tell_after_fork
from jobtrail.publisher.output.scope import JobScope
from jobtrail.publisher.request import Request
from jobtrail.publisher.sender import Sender

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


class Reporter(BaseReporter[Job]):
    """Tells JobTrail what a worker does. Reporting writes to an on-disk spool and returns; a background thread sends.

    It may be used from any thread, and before a fork: children report on their own. A broker that is away does not
    disturb the worker: the updates wait in the spool, also across the worker's restart.

    Its parameters are described at `BaseReporter.__init__`.
    """

    def _open(self) -> None:
        self._nodes = connection_parameters(self._amqp_url, f"jobtrail publisher {self._ledger.extractor_id}")
        self._lock = threading.Lock()
        self._closed = False
        self._sender: Sender | None = Sender(self._nodes, self._ledger)
        self._ledger.on_append = self._wake
        tell_after_fork(self)

    def _job(self, request: Request) -> Job:
        return Job(self._ledger, request)

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
