"""What a data folder records about its services: their URLs, who runs them, and the processes to find after a crash."""

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jobtrail.stack.errors import StackBusyError, StackError
from jobtrail.stack.ports import answers
from jobtrail.stack.processes import ProcessIdentity

STATE_FILE = "stack.json"
_LOCK_FILE = "stack.lock"


@dataclass(slots=True, frozen=True, kw_only=True)
class StackUrls:
    """How to reach the services of a running stack. Both URLs may carry passwords."""

    amqp_url: str
    mongo_url: str


class StackState:
    """The state file of one data folder; only its owner can read it, and each write replaces it as a whole."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / STATE_FILE
        self._processes: dict[str, ProcessIdentity] = {}
        self._ports: list[int] = []
        self._urls: StackUrls | None = None
        self._settings: Mapping[str, str] = {}
        self._supervisor = ProcessIdentity.of_this_process()
        self._started_at = datetime.now(UTC)

    def note_process(self, name: str, identity: ProcessIdentity) -> None:
        """Record a process such as `mongod`, so that a later run can clean it up."""
        self._processes[name] = identity
        self._write()

    def forget_process(self, name: str) -> None:
        """Forget a process that has ended."""
        if self._processes.pop(name, None):
            self._write()

    def note_up(self, urls: StackUrls, ports: list[int]) -> None:
        """Let other processes know that the services are up, as long as these ports of 127.0.0.1 answer."""
        self._urls, self._ports = urls, ports
        self._write()

    def note_settings(self, settings: Mapping[str, str]) -> None:
        """Let other processes know which settings were chosen for the stack, by field name."""
        self._settings = settings
        self._write()

    def clear(self) -> None:
        """Remove the file, because nothing runs any more."""
        self._processes.clear()
        self._urls = None
        self._settings = {}
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        content = {
            "supervisor": _entry(self._supervisor),
            "started_at": self._started_at.isoformat(timespec="seconds"),
            "amqp_url": self._urls and self._urls.amqp_url,
            "mongo_url": self._urls and self._urls.mongo_url,
            "ports": self._ports,
            "settings": self._settings,
            "processes": {name: _entry(process) for name, process in self._processes.items()},
        }
        new = self._path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file, indent=2)
        new.replace(self._path)


def find_running(data_dir: Path) -> StackUrls | None:
    """Find the running private stack of a folder; None while it is not up."""
    content = _load(data_dir)
    amqp_url, mongo_url, ports = content.get("amqp_url"), content.get("mongo_url"), content.get("ports")
    if not isinstance(amqp_url, str) or not isinstance(mongo_url, str) or not isinstance(ports, list):
        return None
    needed = [_identity(content.get("supervisor")), *_processes(content).values()]
    if not all(process.is_alive for process in needed) or not all(answers(int(port)) for port in ports):
        return None
    return StackUrls(amqp_url=amqp_url, mongo_url=mongo_url)


def noted_settings(data_dir: Path) -> dict[str, str]:
    """Read the settings that were chosen for a folder's running stack, by field name."""
    settings = _load(data_dir).get("settings")
    return {str(name): str(value) for name, value in settings.items()} if isinstance(settings, dict) else {}


def left_behind(data_dir: Path) -> dict[str, ProcessIdentity]:
    """Find processes that a killed run left behind, by name. The lock must be held: else they may be another run's."""
    return {name: process for name, process in _processes(_load(data_dir)).items() if process.is_alive}


class FolderLock:
    """Lets one process at a time run the services of a folder; the kernel frees it when its holder dies."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / _LOCK_FILE
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether we hold it."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode().strip() or "unknown"
            os.close(descriptor)
            raise StackBusyError(
                f"the private services in {self._path.parent} are already run by process {holder}: "
                "stop that one first, or set JOBTRAIL_DATA_DIR to another folder"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Free the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _load(data_dir: Path) -> dict[str, object]:
    with contextlib.suppress(OSError, ValueError):
        content = json.loads((data_dir / STATE_FILE).read_text())
        if isinstance(content, dict):
            return content
    return {}


def _processes(content: dict[str, object]) -> dict[str, ProcessIdentity]:
    processes = content.get("processes")
    if not isinstance(processes, dict):
        return {}
    return {name: _identity(entry) for name, entry in processes.items()}


def _entry(process: ProcessIdentity) -> dict[str, int]:
    return {"pid": process.pid, "started_ticks": process.started_ticks}


def _identity(entry: object) -> ProcessIdentity:
    if isinstance(entry, dict):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return ProcessIdentity(pid=int(entry["pid"]), started_ticks=int(entry["started_ticks"]))
    raise StackError(f"{STATE_FILE} is damaged: remove it if no private stack runs")
