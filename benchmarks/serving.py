"""The web as a process of its own, and how long its pages take."""

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.workbench import WEB, BenchmarkError, Lane, MeasuredProcess, Workbench
from jobtrail.stack.ports import answers, free_port

PATIENCE_S = 60.0


class Server:
    """The web, asked over one connection that is kept.

    Args:
        port: Its port on this machine.
    """

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)

    def get(self, path: str) -> tuple[bytes, float]:
        """Ask for a page.

        Args:
            path: Its path.

        Returns:
            Its body, and how long that took in milliseconds.

        Raises:
            BenchmarkError: It is no page.
        """
        begun_at = time.perf_counter()
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        body = response.read()
        took_ms = (time.perf_counter() - begun_at) * 1000
        if response.status != http.client.OK:
            raise BenchmarkError(f"GET {path} was answered with {response.status}: {body[:500]!r}")
        return body, took_ms


@contextmanager
def serving(workbench: Workbench, lane: Lane) -> Iterator[tuple[Server, MeasuredProcess]]:
    """Run the web on a lane.

    Args:
        workbench: The services.
        lane: The lane.

    Yields:
        What asks it, and its process.

    Raises:
        BenchmarkError: It does not start.
    """
    port = free_port()
    with workbench.running(lane, *WEB, environment={"JOBTRAIL_WEB_PORT": str(port)}) as web:
        deadline = time.monotonic() + PATIENCE_S
        while not answers(port):
            web.check()
            if time.monotonic() > deadline:
                raise BenchmarkError("the web does not start")
            time.sleep(0.05)
        yield Server(port), web
