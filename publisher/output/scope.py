"""One job at work: which updates its beginning, its steps and its end mean. Shared by both reporters."""

from contextvars import ContextVar

from jobtrail.models.jobs.status import Status
from jobtrail.publisher.forking import guard
from jobtrail.publisher.request import Request
from jobtrail.publisher.spool.ledger import SpoolLedger

_current: ContextVar["JobScope | None"] = ContextVar("jobtrail_current_job", default=None)


def current_job() -> "JobScope | None":
    """Return the job that the calling thread or task is at work on; None outside of any."""
    return _current.get()


class JobScope:
    """One attempt at one job. Its methods may be called from any thread, write to the spool and return.

    Args:
        ledger: The reporter's ledger.
        request: The job.
    """

    def __init__(self, ledger: SpoolLedger, request: Request) -> None:
        self._ledger = ledger
        self._request = request
        self._numbering = ledger.begin(request.job_id)
        self._ended = False
        self._outer: JobScope | None = None

    @property
    def job_id(self) -> str:
        """The job's id: the request's, else a new UUID."""
        return self._request.job_id

    @property
    def resource_id(self) -> str:
        """The file's or dataset's id."""
        return self._request.resource_id

    def progress(self, message: str, percent: float | None = None) -> None:
        """Say what the worker is doing.

        Args:
            message: In words.
            percent: How much is done, 0 to 100.
        """
        self._record(Status.PROCESSING, message, percent)

    def skip(self, reason: str) -> None:
        """Say that the worker decided not to do the job; leaving its scope then says nothing more.

        Args:
            reason: Why.
        """
        self._end(Status.SKIPPED, reason)

    def retry(self, message: str) -> None:
        """Say that this attempt failed and the work goes back to the queue; leaving the scope then says nothing more.

        Args:
            message: What happened.
        """
        self._end(Status.RESUBMITTED, message)

    def make_current(self) -> None:
        """Make this the calling context's `current_job`."""
        self._outer = _current.get()
        _current.set(self)

    def leave_current(self) -> None:
        """Give the calling context back the job it had before."""
        _current.set(self._outer)

    def start(self) -> None:
        """Say that the work begins."""
        self._record(Status.STARTED, "Started processing.")

    def finish(self, error: BaseException | None) -> None:
        """Say how the work ended, unless `skip` or `retry` has said so.

        Args:
            error: What ended it; None for success. What is no `Exception` (a signal, a cancellation, the interpreter's
                exit) stops the worker rather than the job: the unacknowledged request goes back to the queue, so it
                is a retry.
        """
        try:
            if error is None:
                self._end(Status.SUCCEEDED, "Done processing.")
            elif isinstance(error, Exception):
                self._end(Status.ERROR, _words(error))
            else:
                self._end(Status.RESUBMITTED, _words(error))
        finally:
            self._ledger.end(self.job_id)

    def _end(self, state: Status, message: str) -> None:
        with guard:
            if self._ended:
                return
            self._ended = True
        self._record(state, message)

    def _record(self, state: Status, message: str, percent: float | None = None) -> None:
        self._ledger.record(self._request, self._numbering, state, message, percent)


def _words(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
