"""What a worker prints, as progress of its job."""

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from jobtrail.publisher.forking import guard
from jobtrail.publisher.output.scope import JobScope, current_job

MAX_LINE_CHARS = 8192
"""A line without an end is cut into updates of this length."""


@contextmanager
def capture_output(job: JobScope | None = None) -> Iterator[None]:
    """Send each line that is printed inside the block as progress, and still print it.

    Lines of `print` and of everything else that writes to `sys.stdout` or `sys.stderr` are seen; what subprocesses
    and C libraries write to the file descriptors is not. Jobs may run side by side in threads or tasks: a line goes
    to the job whose context it was printed in, and one without a context (of a thread that a job started) to the
    latest capture.

    Args:
        job: The job; None for the calling context's.

    Yields:
        Nothing.

    Raises:
        ValueError: No job was given and none is current.
    """
    target = job or current_job()
    if target is None:
        raise ValueError("capture_output needs a job: give one, or call it inside a job's `with` block")
    capture = _Capture(target)
    _install(capture)
    try:
        yield
    finally:
        _remove(capture)
        capture.finish()


class _Capture:
    """The lines of one job; one unfinished line per stream."""

    def __init__(self, job: JobScope) -> None:
        self.job = job
        self._unfinished: dict[str, str] = {}

    def feed(self, stream: str, text: str) -> None:
        with guard:
            *lines, rest = (self._unfinished.get(stream, "") + text).splitlines(keepends=True) or [""]
            if rest.endswith(("\n", "\r")) or len(rest) >= MAX_LINE_CHARS:
                lines, rest = [*lines, rest], ""
            self._unfinished[stream] = rest
        for line in lines:
            self._send(line)

    def finish(self) -> None:
        with guard:
            rests, self._unfinished = list(self._unfinished.values()), {}
        for rest in rests:
            self._send(rest)

    def _send(self, line: str) -> None:
        if line := line.rstrip():
            self.job.progress(line)


class _Tee(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`: writes through, and feeds the captures."""

    def __init__(self, name: str, real: TextIO) -> None:
        self.name = name
        self.real = real
        self._busy = threading.local()

    def write(self, text: str) -> int:
        written = self.real.write(text)
        # Reporting may print (a log line on stderr, say): that must not be reported in turn.
        if not getattr(self._busy, "now", False) and (capture := _capture_of_context()):
            self._busy.now = True
            try:
                capture.feed(self.name, text)
            finally:
                self._busy.now = False
        return written

    def flush(self) -> None:
        self.real.flush()

    def isatty(self) -> bool:
        return self.real.isatty()

    def fileno(self) -> int:
        return self.real.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # TextIOBase types it as a plain attribute
        return self.real.encoding

    @property
    def buffer(self) -> object:
        return self.real.buffer


_captures: list[_Capture] = []


def _capture_of_context() -> _Capture | None:
    with guard:
        job = current_job()
        for capture in reversed(_captures):
            if capture.job is job:
                return capture
        return _captures[-1] if job is None and _captures else None


def _install(capture: _Capture) -> None:
    with guard:
        _captures.append(capture)
        for name in ("stdout", "stderr"):
            real = getattr(sys, name)
            if not isinstance(real, _Tee):
                setattr(sys, name, _Tee(name, real))


def _remove(capture: _Capture) -> None:
    with guard:
        _captures.remove(capture)
        if _captures:
            return
        for name in ("stdout", "stderr"):
            tee = getattr(sys, name)
            if isinstance(
                tee, _Tee
            ):  # else the worker put a stream of its own over ours: it stays, and ours goes quiet
                setattr(sys, name, tee.real)
