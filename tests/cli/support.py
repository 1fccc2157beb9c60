import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from pydantic import SecretStr

from models.delivery import Batch, Delivery
from models.settings import Settings
from models.wire import decode_status_update
from store.database import Database
from store.trail import Trail
from tests.support import WAIT_S

START = datetime(2026, 11, 22, 0, 14, 36, tzinfo=UTC)


def environment_of(settings: Settings) -> dict[str, str]:
    values = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in settings
        if value is not None
    }
    return {f"JOBTRAIL_{name.upper()}": str(value) for name, value in values.items()}


@dataclass(frozen=True)
class JobTrail:
    environment: Mapping[str, str]

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cli.main", *arguments]

    def environ(self, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
        merged = {**os.environ, **self.environment, **(changes or {})}
        return {name: value for name, value in merged.items() if value is not None}

    def run(self, *arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.environ(changes), capture_output=True, text=True, timeout=60, check=False
        )

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


async def store_updates(settings: Settings, updates: Sequence[Mapping[str, object]], first_seq: int = 1) -> None:
    """Store updates as the consumer does, each received when it was sent."""
    deliveries = []
    for seq, fields in enumerate(updates, first_seq):
        body = json.dumps(fields).encode()
        decoded = decode_status_update(body, max_bytes=settings.max_body_bytes)
        mark = blake2b(f"{seq}".encode(), digest_size=8).digest()
        deliveries.append(Delivery(fingerprint=mark, received_at=decoded.event_time, update=decoded))
    async with Database(settings.require_mongo_url(), settings.database, timeout_s=WAIT_S) as database:
        await database.ensure_indexes()
        batch = Batch(
            queue=settings.reply_queue,
            first_seq=first_seq,
            deliveries=deliveries,
            anchors=[first_seq + len(deliveries)],
        )
        await Trail(database).store(batch)
