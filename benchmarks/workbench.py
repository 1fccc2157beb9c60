"""The private services of a run, and the processes that are measured on them."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pika
import psutil
from pymongo import MongoClient

from jobtrail.models.topology import stream_names
from jobtrail.stack.processes import ChildProcess, spawn
from jobtrail.stack.state import StackUrls
from jobtrail.store.database import Document

REPOSITORY = Path(__file__).resolve().parent.parent
CONSUMER = ("jobtrail.cli.main", "consume")
MONITOR = ("jobtrail.cli.main", "monitor")
RECONCILER = ("jobtrail.cli.main", "dataset:get-status", "--watch")
WEB = ("jobtrail.cli.main", "web")
DEAD_LETTERS = ("jobtrail.cli.main", "deadletters", "capture")
STOP_GRACE_S = 20.0


class BenchmarkError(Exception):
    """A benchmark could not be carried out."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Lane:
    """Streams, queues and a database of their own, for one side of one measurement."""

    urls: StackUrls = field(repr=False)
    name: str
    partitions: int = 1

    @property
    def stream(self) -> str:
        """The stream of updates, or the common name of several."""
        return f"{self.name}.updates"

    @property
    def streams(self) -> list[str]:
        """The streams of updates, by partition."""
        return stream_names(self.stream, self.partitions)

    @property
    def dead_letter_queue(self) -> str:
        """The dead-letter queue."""
        return f"{self.name}.dead-letters"

    @property
    def database(self) -> str:
        """The MongoDB database."""
        return self.name

    @property
    def console_database(self) -> str:
        """The MongoDB database of the console."""
        return f"{self.name}_console"

    def environment(self) -> dict[str, str]:
        """Return the whole environment of a process on this lane; other `JOBTRAIL_*` that are set go on counting."""
        return os.environ | {
            "PYTHONPATH": str(REPOSITORY),
            "JOBTRAIL_AMQP_URL": self.urls.amqp_url,
            "JOBTRAIL_MONGO_URL": self.urls.mongo_url,
            "JOBTRAIL_DATABASE": self.database,
            "JOBTRAIL_REPLY_STREAM": self.stream,
            "JOBTRAIL_REPLY_PARTITIONS": str(self.partitions),
            "JOBTRAIL_DEAD_LETTER_QUEUE": self.dead_letter_queue,
            "JOBTRAIL_HEARTBEAT_QUEUE": f"{self.name}.heartbeats",
            "JOBTRAIL_CONSUMER_HEALTH_PORT": "0",
            "JOBTRAIL_MONITOR_HEALTH_PORT": "0",
            "JOBTRAIL_RECONCILER_HEALTH_PORT": "0",
            "JOBTRAIL_DEAD_LETTERS_HEALTH_PORT": "0",
            "JOBTRAIL_CONSOLE_DATABASE": self.console_database,
            "JOBTRAIL_ANALYZER_DATABASE": f"{self.name}_analyzer",
            "JOBTRAIL_LOG_LEVEL": "warning",
        }


class MeasuredProcess:
    """A running process and its use of the machine."""

    def __init__(self, process: ChildProcess, what: str) -> None:
        self._process = process
        self._what = what

    @property
    def exit_code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.exit_code

    def check(self) -> None:
        """Make sure that it has not failed.

        Raises:
            BenchmarkError: It has.
        """
        if self._process.exit_code not in (None, 0):
            raise BenchmarkError(f"{self._what} ended by itself. The end of its log:\n{self._process.log_tail()}")

    def peak_memory_mb(self) -> float:
        """Return its peak resident memory, in MB of 1024 KB; psutil has no such figure on Linux."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (peak,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(peak.split()[1]) / 1024

    def cpu_s(self) -> float:
        """Return the processor time that it has used, in seconds."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)


class Workbench:
    """What every benchmark works with.

    Args:
        urls: The services.
        folder: For logs and spools; it is removed at the end.
        say: Takes one line that tells what is being done.
    """

    def __init__(self, urls: StackUrls, folder: Path, say: Callable[[str], None]) -> None:
        self.urls = urls
        self.folder = folder
        self.say = say
        self.client: MongoClient[Document] = MongoClient(urls.mongo_url, tz_aware=True)
        self._lanes = 0
        self._processes = 0

    def lane(self, what: str, partitions: int = 1) -> Lane:
        """Make a lane that nobody has used yet.

        Args:
            what: What it is for, in one word.
            partitions: Over how many streams its updates are spread.

        Returns:
            The lane; its streams, its queues and its database come into being when they are used.
        """
        self._lanes += 1
        return Lane(urls=self.urls, name=f"bench_{self._lanes}_{what}", partitions=partitions)

    def drop(self, lane: Lane) -> None:
        """Remove a lane's streams, which keep what was read, and its databases."""
        with pika.BlockingConnection(pika.URLParameters(lane.urls.amqp_url)) as connection:
            channel = connection.channel()
            for stream in lane.streams:
                channel.queue_delete(stream)
        for name in (lane.database, lane.console_database):
            self.client.drop_database(name)

    def checkpoint(self) -> None:
        """Let MongoDB write to its files what it holds, so that each measurement begins alike."""
        self.client.admin.command("fsync")

    def spawn(
        self, lane: Lane, module: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> ChildProcess:
        """Start a Python module on a lane, as a process of its own.

        Args:
            lane: The lane.
            module: The module's name.
            arguments: Its arguments.
            environment: Variables beside those of the lane.

        Returns:
            The process, which the caller stops.
        """
        self._processes += 1
        return spawn(
            [sys.executable, "-m", module, *arguments],
            environment={**lane.environment(), **(environment or {})},
            folder=self.folder,
            log_file=self.folder / f"process-{self._processes}.log",
        )

    @contextmanager
    def running(
        self, lane: Lane, module: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> Iterator[MeasuredProcess]:
        """Run a Python module on a lane, as a process of its own that is stopped at the end.

        Args:
            lane: The lane.
            module: The module's name.
            arguments: Its arguments.
            environment: Variables beside those of the lane.

        Yields:
            The process.

        Raises:
            BenchmarkError: It failed.
        """
        process = self.spawn(lane, module, *arguments, environment=environment)
        measured = MeasuredProcess(process, f"{module} {' '.join(arguments)}".strip())
        try:
            yield measured
            measured.check()
        finally:
            process.stop(STOP_GRACE_S)
