"""Consumers of these tests: in this process, or as a process of their own that can be killed."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pika
import pytest
from pymongo import MongoClient

from jobtrail.consumer.service import run_consumer
from jobtrail.models.settings import Settings
from jobtrail.models.topology import stream_arguments
from tests.support import WAIT_S, ServiceProcess, client_to, eventually

Document = dict[str, Any]


@asynccontextmanager
async def consuming(settings: Settings) -> AsyncIterator[None]:
    """Run a consumer in this event loop; it is stopped gracefully at the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_consumer(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, WAIT_S)


class ConsumerProcess(ServiceProcess):
    """A consumer in a process of its own."""

    def __init__(self, settings: Settings, ready: Path) -> None:
        super().__init__(
            "tests.consumer.process",
            settings,
            ready,
            JOBTRAIL_PREFETCH=str(settings.prefetch),
            JOBTRAIL_BATCH_MAX_COUNT=str(settings.batch_max_count),
            JOBTRAIL_CONSUMER_HEALTH_PORT="0",
            JOBTRAIL_REPLY_PARTITIONS=str(settings.reply_partitions),
            JOBTRAIL_BRIDGED_QUEUES=settings.bridged_queues,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def peak_memory_mb(self) -> float:
        """The most resident memory it ever used."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (peak,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(peak.split()[1]) / 1024

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, once it is at work."""
        assert self._process is not None
        eventually(self._ready.exists)
        self._process.send_signal(number)

    def terminate(self) -> int:
        """SIGTERM it and wait until it left; return its exit code."""
        assert self._process is not None
        eventually(self._ready.exists)
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(WAIT_S)


@pytest.fixture
def consumer_process(tmp_path: Path) -> Iterator[Callable[[Settings], ConsumerProcess]]:
    """Make consumer processes; none outlives the test."""
    made: list[ConsumerProcess] = []

    def make(settings: Settings) -> ConsumerProcess:
        made.append(ConsumerProcess(settings, tmp_path / f"ready-{len(made)}"))
        return made[-1]

    yield make
    for process in made:
        process.end()


class Bench:
    """What a test needs around a consumer: publish to its queue, look into its database and its dead letters."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client: MongoClient[Document] = client_to(settings.require_mongo_url())
        self.database = self.client[settings.database]
        self._connection: pika.BlockingConnection | None = None
        self.publish_to = settings.reply_stream

    def disconnect(self) -> None:
        """Close the connection to the broker; the next use opens another."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.is_open:
            with suppress(pika.exceptions.AMQPError):  # it may have been idle for too long
                connection.close()

    def close(self) -> None:
        """Close the connections."""
        self.client.close()
        self.disconnect()

    @property
    def channel(self) -> Any:
        """A channel with publisher confirms; the streams are declared."""
        if self._connection is None or not self._connection.is_open:
            self._connection = pika.BlockingConnection(pika.URLParameters(self.settings.require_amqp_url()))
            self._channel = self._connection.channel()
            settings = self.settings
            arguments = stream_arguments(
                retention_days=settings.stream_retention_days,
                retention_gb=settings.stream_retention_gb,
                segment_mb=settings.stream_segment_mb,
            )
            for stream in settings.reply_streams:
                self._channel.queue_declare(stream, durable=True, arguments=arguments)
            self._channel.confirm_delivery()
        return self._channel

    def await_stream(self) -> None:
        """Wait until a broker that was started anew has its streams again."""

        def is_back() -> bool:
            self.disconnect()
            try:
                return bool(self.channel)
            except pika.exceptions.AMQPError:
                return False

        eventually(is_back)

    def publish(self, *bodies: bytes, **properties: Any) -> None:
        """Publish persistent messages to the stream, each confirmed."""
        channel = self.channel
        for body in bodies:
            channel.basic_publish("", self.publish_to, body, pika.BasicProperties(delivery_mode=2, **properties))

    def events(self) -> list[Document]:
        """All stored events in order of arrival."""
        return list(self.database["extractions"].find().sort("seq", 1))

    def messages(self) -> list[str]:
        """The words of all stored events in order of arrival."""
        return [event["message"] for event in self.events()]

    def job(self, job_id: str) -> Document:
        """One job's document."""
        job = self.database["jobs"].find_one({"_id": job_id})
        assert job is not None, f"there is no job {job_id}"
        return job

    def dead_letters(self) -> list[Document]:
        """All stored dead letters in order of arrival."""
        return list(self.database["dead_letters"].find().sort("origin_seq", 1))


@pytest.fixture
def bench(settings: Settings) -> Iterator[Bench]:
    """A bench on the shared services."""
    bench = Bench(settings)
    yield bench
    bench.close()
