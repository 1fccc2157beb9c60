"""Where the tests' RabbitMQ and MongoDB come from, and the host in pytest's main process that keeps them for all.

The services are started when the first test asks for them, so a run of unit tests starts nothing. A worker asks by a
file in a folder that all share; the host answers with another. Each worker gets a vhost of its own, so workers never
see each other's heartbeats on the one well-known exchange. The host is in the main process as workers may crash.
"""

import json
import os
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil
import pytest
from pymongo import MongoClient

from jobtrail.stack.private_stack import PrivateStack
from jobtrail.stack.rabbitmq import USER
from jobtrail.stack.state import StackUrls
from tests.support import eventually, eventually_holds

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

BACKEND_VARIABLE = "JOBTRAIL_TEST_BACKEND"
START_TIMEOUT_S = 900.0
"""RabbitMQ's package or container images may have to be fetched first."""
_POLL_S = 0.02
_MEMORY = Path("/dev/shm")
_MIN_MEMORY = 6 * 1024**3
_FOLDER_PREFIX = "jobtrail-tests-"
_JOURNAL_INTERVAL_MS = 5


class Backend(Protocol):
    """Where the services come from."""

    def urls_for(self, worker: str) -> StackUrls:
        """Return the URLs for one worker; the first call starts the services."""

    def stop(self) -> None:
        """Stop what was started."""


class PrivateBackend:
    """The project's own private stack, which is also what a user gets."""

    def __init__(self, folder: Path) -> None:
        self._stack = PrivateStack(folder / "stack", cache_gb=0.5)
        self._started = False

    def urls_for(self, worker: str) -> StackUrls:
        if not self._started:
            self._stack.start()
            hasten_drops(self._stack.mongod.url)
            self._started = True
        broker = self._stack.rabbitmq
        broker.control("add_vhost", worker)
        broker.control("set_permissions", "-p", worker, USER, ".*", ".*", ".*")
        return StackUrls(amqp_url=broker.url + worker, mongo_url=self._stack.mongod.url)

    def stop(self) -> None:
        self._stack.stop(grace_s=0)


class ExternalBackend:
    """Services that somebody else runs. All workers share one vhost and so see each other's heartbeats: use `-n 0`."""

    def __init__(self, urls: StackUrls) -> None:
        self._urls = urls

    def urls_for(self, worker: str) -> StackUrls:
        return self._urls

    def stop(self) -> None:
        pass


class ContainerBackend:
    """Current RabbitMQ and MongoDB images in Docker."""

    def __init__(self) -> None:
        self._broker: DockerContainer | None = None
        self._database: DockerContainer | None = None

    def urls_for(self, worker: str) -> StackUrls:
        if self._broker is None or self._database is None:
            self._start()
        assert self._broker
        assert self._database
        self._rabbitmqctl("add_vhost", worker)
        self._rabbitmqctl("set_permissions", "-p", worker, USER, ".*", ".*", ".*")
        return StackUrls(
            amqp_url=f"amqp://{USER}:{USER}@{_address(self._broker, 5672)}/{worker}",
            # Direct, because the set knows its member by a name that only the container resolves.
            mongo_url=f"mongodb://{_address(self._database, 27017)}/?directConnection=true",
        )

    def stop(self) -> None:
        for container in (self._broker, self._database):
            if container:
                container.stop()

    def _start(self) -> None:
        from testcontainers.core.container import DockerContainer

        self._broker = DockerContainer("rabbitmq:4").with_exposed_ports(5672)
        self._broker.with_env("RABBITMQ_DEFAULT_USER", USER).with_env("RABBITMQ_DEFAULT_PASS", USER)
        self._database = DockerContainer("mongo:8").with_exposed_ports(27017).with_command("--replSet rs0")
        self._broker.start()
        self._database.start()
        self._rabbitmqctl("await_startup")
        url = f"mongodb://{_address(self._database, 27017)}/?directConnection=true"
        client: MongoClient[dict[str, object]] = MongoClient(url)
        with client:
            client.admin.command("replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": "localhost:27017"}]})
            eventually(lambda: client.admin.command("hello")["isWritablePrimary"])
        hasten_drops(url)

    def _rabbitmqctl(self, *arguments: str) -> None:
        """The node takes commands only some time after its container runs."""
        assert self._broker
        broker = self._broker

        def succeeds() -> None:
            code, output = broker.exec(["rabbitmqctl", *arguments])
            assert code == 0, output.decode(errors="replace")

        eventually_holds(succeeds, timeout_s=120)


def _address(container: "DockerContainer", port: int) -> str:
    return f"{container.get_container_host_ip()}:{container.get_exposed_port(port)}"


def hasten_drops(mongo_url: str) -> None:
    """Let MongoDB write its journal more often: a drop waits for the next time, and a test drops three databases."""
    with MongoClient[dict[str, object]](mongo_url) as client:
        client.admin.command("setParameter", 1, journalCommitInterval=_JOURNAL_INTERVAL_MS)


def make_folder() -> "tempfile.TemporaryDirectory[str]":
    """Make the folder of one test run's services, in memory where there is plenty: tests make very many small files."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _MIN_MEMORY
    if not roomy or psutil.virtual_memory().available < _MIN_MEMORY:
        return tempfile.TemporaryDirectory(prefix=_FOLDER_PREFIX, ignore_cleanup_errors=True)
    for folder in _MEMORY.glob(f"{_FOLDER_PREFIX}*-*"):
        # The memory of a run that was killed would be lost until the machine starts anew.
        if not psutil.pid_exists(int(folder.name.removeprefix(_FOLDER_PREFIX).partition("-")[0])):
            shutil.rmtree(folder, ignore_errors=True)
    prefix = f"{_FOLDER_PREFIX}{os.getpid()}-"
    return tempfile.TemporaryDirectory(prefix=prefix, dir=_MEMORY, ignore_cleanup_errors=True)


def choose_backend(folder: Path) -> Backend:
    """Choose the backend that the environment names."""
    name = os.environ.get(BACKEND_VARIABLE, "private")
    if name == "private":
        return PrivateBackend(folder)
    if name == "containers":
        return ContainerBackend()
    if name == "external":
        amqp_url, mongo_url = os.environ.get("JOBTRAIL_TEST_AMQP_URL"), os.environ.get("JOBTRAIL_TEST_MONGO_URL")
        if not amqp_url or not mongo_url:
            raise pytest.UsageError(
                f"{BACKEND_VARIABLE}=external needs JOBTRAIL_TEST_AMQP_URL and JOBTRAIL_TEST_MONGO_URL"
            )
        return ExternalBackend(StackUrls(amqp_url=amqp_url, mongo_url=mongo_url))
    raise pytest.UsageError(f"{BACKEND_VARIABLE} must be private, containers or external, not {name!r}")


class StackHost:
    """Keeps the services of one test run, in pytest's main process."""

    def __init__(self) -> None:
        self._temporary = make_folder()
        self.folder = Path(self._temporary.name)
        try:
            self._backend = choose_backend(self.folder)
        except pytest.UsageError:
            self._temporary.cleanup()
            raise
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="stack-host", daemon=True)
        # `timeout` and CI systems end a run with SIGTERM: clean up as for Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self._thread.start()

    def stop(self) -> None:
        """Stop the services and remove everything."""
        self._stopping.set()
        self._thread.join()
        self._backend.stop()
        self._temporary.cleanup()

    def _serve(self) -> None:
        while not self._stopping.wait(_POLL_S):
            for request in self.folder.glob("*.wanted"):
                worker = request.stem
                try:
                    urls = self._backend.urls_for(worker)
                    answer = {"amqp_url": urls.amqp_url, "mongo_url": urls.mongo_url}
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  # the waiting worker must be told
                    answer = {"error": f"{type(error).__name__}: {error}"}
                draft = request.with_suffix(".draft")
                draft.write_text(json.dumps(answer))
                request.unlink()
                draft.rename(request.with_suffix(".answer"))


def ask_for_services(folder: Path, worker: str) -> StackUrls:
    """Ask the host for the services; waits until they are up."""
    answer = folder / f"{worker}.answer"
    if not answer.exists():
        (folder / f"{worker}.wanted").touch()
    deadline = time.monotonic() + START_TIMEOUT_S
    while not answer.exists():
        if time.monotonic() > deadline or not folder.exists():
            pytest.fail("the tests' services were not up in time")
        time.sleep(_POLL_S)
    content = json.loads(answer.read_text())
    if "error" in content:
        pytest.fail(f"the tests' services could not be started: {content['error']}", pytrace=False)
    return StackUrls(amqp_url=content["amqp_url"], mongo_url=content["mongo_url"])
