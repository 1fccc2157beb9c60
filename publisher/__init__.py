"""What a worker imports: reporters of job status, log and output capture, job submission and cancellation.

Names are loaded when they are first used, so that importing this package costs a worker next to nothing, and aio-pika
is only loaded by those who use `AsyncReporter`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobtrail.publisher.async_reporter import AsyncJob, AsyncReporter
    from jobtrail.publisher.cancellation import CancelResult, cancel
    from jobtrail.publisher.output.capture import capture_output
    from jobtrail.publisher.output.log_handler import JobLogHandler
    from jobtrail.publisher.output.scope import JobScope, current_job
    from jobtrail.publisher.reporter import Job, Reporter
    from jobtrail.publisher.request import Request
    from jobtrail.publisher.submission import submit

__all__ = [
    "AsyncJob",
    "AsyncReporter",
    "CancelResult",
    "Job",
    "JobLogHandler",
    "JobScope",
    "Reporter",
    "Request",
    "cancel",
    "capture_output",
    "current_job",
    "submit",
]

_HOMES = {
    "AsyncJob": "async_reporter",
    "AsyncReporter": "async_reporter",
    "CancelResult": "cancellation",
    "Job": "reporter",
    "JobLogHandler": "output.log_handler",
    "JobScope": "output.scope",
    "Reporter": "reporter",
    "Request": "request",
    "cancel": "cancellation",
    "capture_output": "output.capture",
    "current_job": "output.scope",
    "submit": "submission",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
