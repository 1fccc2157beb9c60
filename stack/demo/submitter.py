"""Gives the demo's workers something to do: requests of several users, some of which are cancelled."""

import json
import random
import signal
from collections.abc import Iterator
from contextlib import suppress

from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import BasicProperties

from jobtrail.models.errors import TooLateError
from jobtrail.models.settings import Settings, load_settings
from jobtrail.publisher.cancellation import cancel
from jobtrail.publisher.connection import open_channel, publish
from jobtrail.publisher.submission import submit
from jobtrail.stack.demo import digest, flaky, legacy
from jobtrail.stack.demo.files import DemoFile, make_files

WORDCOUNT = "ncsa.wordcount"
_USERS = ("amara", "bruno", "chen", "dalia")
_MAX_WAITING = 3
"""A queue in which so many requests wait gets no more."""
_PAUSE_S = (0.6, 1.6)
_CANCELS_EVERY = 15
_LARGE_BYTES = 100_000
_TORN_SHARE = 0.12
_chance = random.SystemRandom()
_SLOWEST_S = 24.0
"""Seconds that a worker takes for the largest file."""


class Submitter:
    """The users who submit jobs."""

    def __init__(self, settings: Settings, channel: BlockingChannel) -> None:
        self._settings = settings
        self._channel = channel
        files = make_files(settings.data_dir / "demo" / "files")
        self._sound = [file for file in files if not file.torn]
        self._torn = [file for file in files if file.torn]
        self._plan = self._queues()

    def step(self) -> None:
        """Make one request, unless its workers have enough to do."""
        queue, file = next(self._plan)
        if self._waiting(queue) >= _MAX_WAITING:
            return
        if queue == legacy.NAME:
            self._submit_old_style(file)
        else:
            self._submit(queue, file)

    def change_mind(self) -> None:
        """Submit a job and cancel it, unless a worker was faster."""
        queue = max((WORDCOUNT, digest.NAME, flaky.NAME), key=self._waiting)
        job_id = self._submit(queue, self._any_sound())
        self._channel.connection.sleep(_PAUSE_S[1])
        with suppress(TooLateError):
            cancel(
                self._settings.require_amqp_url(),
                queue,
                job_id,
                reason="Cancelled by its user.",
                reply_queue=self._settings.reply_stream,
                partitions=self._settings.reply_partitions,
            )

    def _queues(self) -> Iterator[tuple[str, DemoFile]]:
        """Begin with one request of every kind, so that a newcomer soon sees them all; continue at random."""
        both = self._sound[-2]
        yield from ((digest.NAME, both), (digest.NAME, both), (WORDCOUNT, self._sound[3]))
        yield from ((flaky.NAME, self._sound[2]), (legacy.NAME, self._sound[1]))
        while True:
            queue = _chance.choices((WORDCOUNT, digest.NAME, flaky.NAME, legacy.NAME), weights=(3, 4, 3, 1))[0]
            torn = queue == flaky.NAME and _chance.random() < _TORN_SHARE
            yield queue, _chance.choice(self._torn) if torn else self._any_sound()

    def _any_sound(self) -> DemoFile:
        """Choose a file; large ones are rare."""
        return _chance.choices(self._sound, weights=[1 if file.size > _LARGE_BYTES else 4 for file in self._sound])[0]

    def _waiting(self, queue: str) -> int:
        return int(self._channel.queue_declare(queue, durable=True).method.message_count)

    def _submit(self, queue: str, file: DemoFile) -> str:
        return submit(
            self._settings.require_amqp_url(),
            queue,
            resource_id=file.resource_id,
            user_id=_chance.choice(_USERS),
            parameters=_parameters(file),
            filename=file.name,
            file_size=file.size,
            reply_queue=self._settings.reply_stream,
            partitions=self._settings.reply_partitions,
        )

    def _submit_old_style(self, file: DemoFile) -> None:
        """Make a request as old versions of Clowder do: it names no job and no user."""
        request = {"id": file.resource_id, "filename": file.name, "retry_count": 0, "parameters": _parameters(file)}
        properties = BasicProperties(delivery_mode=2, reply_to=self._settings.reply_streams[0])
        publish(self._channel, legacy.NAME, json.dumps(request).encode(), properties)


def _parameters(file: DemoFile) -> dict[str, object]:
    share = file.size / (1024 * 1024)
    return {"path": str(file.path), "duration_s": round(_chance.uniform(0.8, 2.5) + _SLOWEST_S * share, 1)}


def main() -> None:
    """Submit work until SIGTERM."""
    settings = load_settings()
    stopping = False

    def stop(*_signal: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    with open_channel(settings.require_amqp_url(), "demo.submitter") as channel:
        submitter = Submitter(settings, channel)
        count = 0
        while not stopping:
            count += 1
            if count % _CANCELS_EVERY == 0:
                submitter.change_mind()
            else:
                submitter.step()
            channel.connection.sleep(_chance.uniform(*_PAUSE_S))


if __name__ == "__main__":
    main()
