"""Heartbeats as tests send them, and a monitor that runs in the test's event loop."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pika
from pika.adapters.blocking_connection import BlockingChannel

from jobtrail.heartbeat.monitor import run_monitor
from jobtrail.models.heartbeat import Heartbeat, decode_heartbeat
from jobtrail.models.settings import Settings
from jobtrail.models.topology import HEARTBEAT_EXCHANGE
from jobtrail.store.database import Database
from jobtrail.store.extractors import ExtractorRepository
from tests.support import WAIT_S

CAPTURED = Path(__file__).parent / "captured_heartbeats.jsonl"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def captured() -> list[bytes]:
    """The heartbeats of a real pyClowder 3.0.8."""
    return [json.loads(line)["body"].encode() for line in CAPTURED.read_text().splitlines()]


def body(extractor: str, instance: str = "instance-1", version: str = "1.0", **more: object) -> bytes:
    """One heartbeat; `info` adds to the extractor's info, the rest to the message."""
    info = {"name": extractor, "version": version, **more.pop("info", {})}
    return json.dumps({"id": instance, "queue": extractor, "owner": None, "extractor_info": info, **more}).encode()


def beat(received_at: datetime = NOW, **fields: object) -> Heartbeat:
    """A heartbeat as read from `body(**fields)`."""
    return decode_heartbeat(body(**fields), received_at, max_bytes=4_000_000)


@contextmanager
def channel_to(amqp_url: str) -> Iterator[BlockingChannel]:
    """A channel, with the exchange declared as pyClowder does."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.exchange_declare(HEARTBEAT_EXCHANGE, exchange_type="fanout", durable=True)
        yield channel


def publish(amqp_url: str, *bodies: bytes) -> None:
    """Publish heartbeats, confirmed."""
    with channel_to(amqp_url) as channel:
        channel.confirm_delivery()
        for each in bodies:
            channel.basic_publish(HEARTBEAT_EXCHANGE, "", each)


@dataclass
class RunningMonitor:
    """A monitor and what it stored."""

    repository: ExtractorRepository
    stop: asyncio.Event
    task: "asyncio.Task[None]"
    ready: asyncio.Event
    port: int = 0


@asynccontextmanager
async def running_monitor(settings: Settings, *, wait: bool = True) -> AsyncIterator[RunningMonitor]:
    """Run a monitor until the end of the block; it must then end by itself."""
    async with Database(settings.require_mongo_url(), settings.database, timeout_s=WAIT_S) as database:
        stop, ready = asyncio.Event(), asyncio.Event()

        def on_ready(port: int) -> None:
            monitor.port = port
            ready.set()

        task = asyncio.create_task(run_monitor(settings, stop, on_ready=on_ready))
        monitor = RunningMonitor(ExtractorRepository(database), stop, task, ready)
        try:
            if wait:
                await asyncio.wait_for(ready.wait(), WAIT_S)
            yield monitor
        finally:
            stop.set()
            await asyncio.wait_for(task, WAIT_S)
