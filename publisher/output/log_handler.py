"""A worker's log records as progress of the job they belong to."""

import logging
import threading

from jobtrail.publisher.output.scope import JobScope, current_job

_OWN_LOGGERS = ("jobtrail", "pika", "aio_pika", "aiormq", "asyncio")
"""What the sending of an update may log; as an update it would beget the next one."""


class LevelFormatter(logging.Formatter):
    """The bare message, with the level in front from WARNING upwards: `WARNING: disk is nearly full`."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record.

        Args:
            record: The record.

        Returns:
            Its text, with the traceback if it has one.
        """
        text = super().format(record)
        return f"{record.levelname}: {text}" if record.levelno >= logging.WARNING else text


class JobLogHandler(logging.Handler):
    """Sends log records as progress of the job in whose `with` block (thread or task) they were made.

    A record made outside of any job is passed over, and so are those of the publisher and of the AMQP libraries. It
    never raises.

    Args:
        level: The least severe level that is sent.
        job: Gets the records made without a context: threads that a job starts do not inherit the job's.
    """

    def __init__(self, level: int | str = logging.INFO, *, job: JobScope | None = None) -> None:
        super().__init__(level)
        self._job = job
        self._busy = threading.local()
        self.setFormatter(LevelFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record.

        Args:
            record: The record.
        """
        job = current_job() or self._job
        if job is None or record.name.partition(".")[0] in _OWN_LOGGERS or getattr(self._busy, "now", False):
            return
        self._busy.now = True
        try:
            job.progress(self.format(record))
        except Exception:  # noqa: BLE001  # a log call must not take the worker down; this is logging's own way to say so
            self.handleError(record)
        finally:
            self._busy.now = False
