"""Random faults under mixed load: what is stored is what the log holds, once and in its order, and nothing else.

`make faults` does 200 of them. The truth is the stream itself: all that the broker confirmed is in it.
"""

import asyncio
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pika
import pytest
from pika.exceptions import AMQPError
from pydantic import SecretStr

from jobtrail.models.settings import Settings
from jobtrail.publisher import Reporter
from jobtrail.stack.private_stack import PrivateStack
from tests.consumer.conftest import Bench, ConsumerProcess
from tests.consumer.test_consumer_crashes import differences
from tests.consumer.updates import update
from tests.support import eventually

MakeConsumer = Callable[[Settings], ConsumerProcess]
FAULTS = int(os.environ.get("FAULTS", "5"))
SETTLE_S = 180.0
_STREAM_IS_YOUNG_S = 4.0
"""RabbitMQ 3.10 may lose a stream for good that it declared just before it is killed."""


@pytest.fixture
def bench(own_stack: PrivateStack, settings: Settings) -> Iterator[Bench]:
    """A bench on services of the test's own, with two partitions and a bridged queue."""
    urls = own_stack.urls
    changed = {
        "amqp_url": SecretStr(urls.amqp_url),
        "mongo_url": SecretStr(urls.mongo_url),
        "reply_partitions": 2,
        "bridged_queues": "clowders.own",
    }
    bench = Bench(settings.model_copy(update=changed))
    yield bench
    bench.close()


class Sender:
    """Sends updates in the background, again and again where they are not confirmed."""

    def __init__(self, settings: Settings, sent: Counter[bytes], rate_per_s: int = 150) -> None:
        self._settings = settings
        self._sent = sent
        """How often each body was confirmed."""
        self._rate_per_s = rate_per_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        messages = self._messages()
        waiting = next(messages)
        while not self._stop.is_set():
            url = pika.URLParameters(self._settings.require_amqp_url())
            with suppress(AMQPError, OSError), pika.BlockingConnection(url) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                while not self._stop.is_set():
                    queue, body, properties = waiting
                    channel.basic_publish("", queue, body, properties, mandatory=True)
                    self._sent[body] += 1
                    waiting = next(messages)
                    time.sleep(1 / self._rate_per_s)
            self._stop.wait(0.2)

    def _messages(self) -> Iterator[tuple[str, bytes, pika.BasicProperties]]:
        plain = pika.BasicProperties(delivery_mode=2)
        while True:
            job = str(uuid4())
            stream = self._settings.reply_to(job)
            for kind in ("start", "retry") * 3:  # equal to the byte, as pyClowder's quick retries are
                yield stream, update(job, kind, kind), plain
            yield stream, f"no update of {job}".encode(), plain
            for step in range(4):
                yield stream, update(job, "processing", f"step {step}"), plain
            yield stream, update(job, "done", "done"), pika.BasicProperties(delivery_mode=2, message_id=str(uuid4()))
            yield "clowders.own", update(job, "processing", "bridged"), plain


class Faults:
    """What goes wrong."""

    def __init__(self, stack: PrivateStack, consumers: list[ConsumerProcess], moments: random.Random) -> None:
        self._stack = stack
        self._consumers = consumers
        self._random = moments
        self.done: Counter[str] = Counter()

    def strike(self) -> None:
        """Do one of them, and mend it."""
        kinds = [self.kill_consumer, self.freeze_consumer, self.restart_consumer, self.kill_mongod, self.freeze_mongod]
        kind = self._random.choice([*kinds, self.kill_rabbitmq, self.stop_rabbitmq])
        self.done[kind.__name__] += 1
        kind()
        time.sleep(self._random.uniform(0.2, 3.0))  # the moment of the next one is what is tested

    def kill_consumer(self) -> None:
        consumer = self._random.choice(self._consumers)
        consumer.kill()
        consumer.start()

    def restart_consumer(self) -> None:
        consumer = self._random.choice(self._consumers)
        assert consumer.terminate() == 0
        consumer.start()

    def freeze_consumer(self) -> None:
        consumer = self._random.choice(self._consumers)
        consumer.signal(signal.SIGSTOP)
        time.sleep(self._random.uniform(0.5, 4.0))
        consumer.signal(signal.SIGCONT)

    def kill_mongod(self) -> None:
        self._stack.mongod.kill()
        self._stack.mongod.start()

    def freeze_mongod(self) -> None:
        pid = self._stack.mongod.pid
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self._random.uniform(0.5, 3.0))
        os.kill(pid, signal.SIGCONT)

    def kill_rabbitmq(self) -> None:
        self._stack.rabbitmq.kill()
        self._stack.rabbitmq.start()

    def stop_rabbitmq(self) -> None:
        self._stack.rabbitmq.stop()
        self._stack.rabbitmq.start()


@pytest.mark.timeout(60 + 60 * FAULTS)
def test_random_faults_lose_double_and_disorder_nothing(
    bench: Bench, own_stack: PrivateStack, consumer_process: MakeConsumer, tmp_path: Path
) -> None:
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32)))
    print(f"SEED={seed}")  # pytest shows it with a failure
    moments = random.Random(seed)
    settings = bench.settings
    bench.channel.queue_declare("clowders.own", durable=True, arguments={"x-queue-type": "quorum"})
    time.sleep(_STREAM_IS_YOUNG_S)
    sent: Counter[bytes] = Counter()
    consumers = [consumer_process(settings), consumer_process(settings)]
    for consumer in consumers:
        consumer.start()
    sender = Sender(settings, sent)
    faults = Faults(own_stack, consumers, moments)
    with Reporter(
        settings.require_amqp_url(),
        "reporter",
        reply_queue=settings.reply_stream,
        partitions=settings.reply_partitions,
        spool_path=tmp_path / "spool",
    ) as reporter:
        for _ in range(FAULTS):
            with reporter.job("file-1") as job:
                job.progress("half of it", percent=50)
                faults.strike()
        sender.stop()
        assert reporter.flush(SETTLE_S)

    bench.await_stream()
    eventually(lambda: bench.channel.queue_declare("clowders.own", passive=True).method.message_count == 0, SETTLE_S)
    logs = {stream: read_log(bench, stream) for stream in settings.reply_streams}
    eventually(lambda: all(stored_up_to(bench, stream) == logs[stream][-1][0] for stream in logs), SETTLE_S)
    print(f"faults: {dict(faults.done)}; messages: {sum(map(len, logs.values())):,}")

    held = Counter(body for messages in logs.values() for _offset, body, _id in messages)
    assert {body: times for body, times in sent.items() if held[body] < times} == {}
    for stream, messages in logs.items():
        assert_stored(bench, stream, messages)
    assert list(bench.database["incidents"].find()) == []
    assert asyncio.run(differences(settings)) == []


def read_log(bench: Bench, stream: str) -> list[tuple[int, bytes, str | None]]:
    """Read a stream from its begin to its end: offsets, bodies and message ids."""
    channel = bench.channel.connection.channel()
    channel.basic_qos(prefetch_count=500)
    found = []
    arguments = {"x-stream-offset": "first"}
    for method, properties, body in channel.consume(stream, arguments=arguments, inactivity_timeout=3):
        if method is None:
            break
        found.append((properties.headers["x-stream-offset"], body, properties.message_id))
        channel.basic_ack(method.delivery_tag)
    channel.cancel()
    return found


def stored_up_to(bench: Bench, stream: str) -> int:
    position = bench.database["positions"].find_one({"_id": f"stream {stream}"})
    assert position is not None
    return int(position["offset"])


def assert_stored(bench: Bench, stream: str, messages: list[tuple[int, bytes, str | None]]) -> None:
    """Each message is on record with its own number: an event, a dead letter, or a duplicate."""
    kept: dict[int, Any] = {}
    for name, field in (("extractions", "seq"), ("duplicates", "seq"), ("dead_letters", "origin_seq")):
        for document in bench.database[name].find({"queue": stream}):
            assert document[field] not in kept, f"number {document[field]} of {stream} is on record twice"
            kept[document[field]] = document
    assert len(kept) == len(messages)
    for offset, body, message_id in messages:
        document = kept[offset + 1]
        if "status" in document:
            assert document["status"].encode() in body
            assert document.get("message_id") == message_id
        elif "body" in document:
            assert document["body"] == body
        else:
            assert document["message_id"] == message_id
