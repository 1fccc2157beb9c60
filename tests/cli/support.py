import atexit
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from jobtrail.models.delivery import Entry
from jobtrail.models.jobs.wire import decode_status_update
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.log.log import Log
from tests.support import WAIT_S

START = datetime(2026, 11, 22, 0, 14, 36, tzinfo=UTC)


def environment_of(settings: Settings) -> dict[str, str]:
    values = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in settings
        if value is not None
    }
    return {f"JOBTRAIL_{name.upper()}": str(value) for name, value in values.items()}


class ForkServer:
    """Runs commands in processes that are forked off one that has imported what they need: `tests.cli.fork_server`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="jobtrail-forks-")
        self._door = f"{self._folder.name}/door"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.fork_server", self._door],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        with (
            tempfile.NamedTemporaryFile("r", dir=self._folder.name) as stdout,
            tempfile.NamedTemporaryFile("r", dir=self._folder.name) as stderr,
            socket.socket(socket.AF_UNIX) as connection,
        ):
            request = {
                "arguments": arguments,
                "environment": environment,
                "folder": str(Path.cwd()),
                "stdout": stdout.name,
                "stderr": stderr.name,
            }
            connection.settimeout(WAIT_S)
            connection.connect(self._door)
            connection.sendall(json.dumps(request).encode() + b"\n")
            code = int(connection.recv(16))
            return subprocess.CompletedProcess(arguments, code, stdout.read(), stderr.read())

    def stop(self) -> None:
        """Let it leave."""
        self._process.communicate()
        self._folder.cleanup()


@cache
def fork_server() -> ForkServer:
    """The server of this test process; it leaves with it."""
    server = ForkServer()
    atexit.register(server.stop)
    return server


@dataclass(frozen=True)
class JobTrail:
    environment: Mapping[str, str]
    server: ForkServer = field(default_factory=fork_server)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "jobtrail.cli.main", *arguments]

    def environ(self, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
        merged = {**os.environ, **self.environment, **(changes or {})}
        return {name: value for name, value in merged.items() if value is not None}

    def run(self, *arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
        return self.server.run(arguments, self.environ(changes))

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def update(job_id: str | None, status: str, after_s: float = 0, **fields: object) -> dict[str, object]:
    """A status update as pyClowder sends it."""
    start = START + timedelta(seconds=after_s)
    return {
        "file_id": "resource-1",
        "extractor_id": "ncsa.wordcount",
        "job_id": job_id,
        "status": status,
        "start": start.isoformat(timespec="milliseconds"),
        **fields,
    }


async def store_updates(settings: Settings, updates: Sequence[Mapping[str, object]]) -> None:
    """Store updates as the consumer does, each received when it was sent."""
    bodies = [json.dumps(fields).encode() for fields in updates]
    decoded = [decode_status_update(body, max_bytes=settings.max_body_bytes) for body in bodies]
    async with Database(settings.require_mongo_url(), settings.database, timeout_s=WAIT_S) as database:
        await database.ensure_indexes()
        log = Log(database, settings.reply_stream)
        position = await log.position()
        entries = [
            Entry(seq=seq, received_at=update.event_time, update=update)
            for seq, update in enumerate(decoded, position.seq + 1)
        ]
        last = position.advanced(position.offset + len(entries), {}, entries[-1].received_at, {})
        await log.append(position, entries, last)
        await log.close()
