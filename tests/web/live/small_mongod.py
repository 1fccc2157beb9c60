"""A MongoDB whose memory of changes is short."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from jobtrail.stack.mongod import find_mongod
from jobtrail.stack.ports import free_port
from tests.support import eventually

HOST = "127.0.0.1"


class SmallMongod:
    """A running MongoDB.

    Args:
        port: Where it listens.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.client: MongoClient[dict[str, Any]] = MongoClient(HOST, port, directConnection=True)

    def initiate(self) -> None:
        members = [{"_id": 0, "host": f"{HOST}:{self.port}"}]
        self.client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
        eventually(lambda: self.client.admin.command("hello")["isWritablePrimary"])

    def forget(self) -> None:
        """Write until nothing of what was written before is in the oplog any more."""
        oplog, junk = self.client["local"]["oplog.rs"], self.client["junk"]["junk"]
        latest = next(oplog.find().sort("$natural", -1).limit(1))["ts"]

        def is_forgotten() -> bool:
            junk.insert_many([{"text": "x" * 10_000} for _ in range(100)])
            return bool(next(oplog.find().limit(1))["ts"] > latest)

        eventually(is_forgotten, 60)


@contextmanager
def small_mongod(folder: Path) -> Iterator[SmallMongod]:
    """Start a MongoDB; it ends with this block."""
    port = free_port()
    folder.mkdir()
    command = [
        find_mongod(),
        *("--bind_ip", HOST, "--port", str(port), "--nounixsocket", "--dbpath", folder, "--replSet", "rs0", "--quiet"),
        *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "1", "--syncdelay", "1"),
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        mongod = SmallMongod(port)
        try:
            with mongod.client:
                mongod.initiate()
                yield mongod
        finally:
            process.kill()
