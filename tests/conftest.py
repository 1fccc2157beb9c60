"""Fixtures: real services that all tests of a run share, and fresh names and databases for each test."""

import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import pika
import pytest
from pydantic import SecretStr
from pymongo import MongoClient

from jobtrail.models.settings import Settings
from jobtrail.models.topology import error_queue
from jobtrail.stack.mongod import Mongod
from jobtrail.stack.private_stack import PrivateStack
from jobtrail.stack.rabbitmq import SERVER_VARIABLE, RabbitMq
from jobtrail.stack.state import StackUrls
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from tests.backends import StackHost, ask_for_services
from tests.reconciler.bench import Bench
from tests.support import WAIT_S, Names, client_to, empty

REPOSITORY = Path(__file__).resolve().parent.parent
_HOST = pytest.StashKey[StackHost]()
Document = dict[str, Any]
_FOLDER_KEY = "stack_folder"
_NOT_STARTED = "given, and asked by nobody"
"""In place of a service's URL: a private stack does not start what is given."""

_MARKERS = {
    "services": {"stack_folder"},
    "browser": {"chromium"},
    "crash": {
        "own_stack",
        "own_rabbitmq",
        "own_mongod",
        "consumer_process",
        "letters_process",
        "forwarder_process",
        "spawn",
    },
}
"""The fixtures by which a test gets each marker."""

# A busy machine is no defect.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")


def pytest_configure(config: pytest.Config) -> None:
    """Start the host in the main process, and keep the developer's own settings out of the tests."""
    if not hasattr(config, "workerinput"):
        config.stash[_HOST] = StackHost()
    for name in [name for name in os.environ if name.startswith("JOBTRAIL_") and name != SERVER_VARIABLE]:
        del os.environ[name]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what runs in its background so, and every process that a test interrupts would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Tests run in folders of their own, and so do the processes that they start.
    os.environ["PYTHONPATH"] = str(REPOSITORY)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the fixtures that it uses, before `-m` selects."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        for marker, signs in _MARKERS.items():
            if fixtures & signs:
                item.add_marker(marker)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each xdist worker where the host is."""
    node.workerinput[_FOLDER_KEY] = str(node.config.stash[_HOST].folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind, also after Ctrl-C."""
    if _HOST in config.stash:
        config.stash[_HOST].stop()


@pytest.fixture(autouse=True)
def _own_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `.env` in the checkout, or a `.jobtrail` folder of a running stack, must not be found."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def stack_folder(request: pytest.FixtureRequest) -> Path:
    """The folder of this test run's services; removed with all it holds after the run."""
    workerinput = getattr(request.config, "workerinput", None)
    return Path(workerinput[_FOLDER_KEY]) if workerinput else request.config.stash[_HOST].folder


@pytest.fixture(scope="session")
def stack(stack_folder: Path) -> StackUrls:
    """The RabbitMQ and the MongoDB that all tests share. Never stop them: `own_stack` is for that."""
    return ask_for_services(stack_folder, os.environ.get("PYTEST_XDIST_WORKER", "main"))


@pytest.fixture(scope="session")
def amqp_url(stack: StackUrls) -> str:
    """The shared RabbitMQ; the vhost is this worker's own."""
    return stack.amqp_url


@pytest.fixture(scope="session")
def mongo_url(stack: StackUrls) -> str:
    """The shared MongoDB, a replica set."""
    return stack.mongo_url


@pytest.fixture(scope="session")
def mongo_client(mongo_url: str) -> Iterator[MongoClient[Document]]:
    """A blocking client, for looking at what was stored."""
    client = client_to(mongo_url)
    with client:
        yield client


@pytest.fixture(scope="session")
def _indexed_databases(mongo_client: MongoClient[Document]) -> Iterator[list[str]]:
    """Names of databases that are empty but for their indexes, which cost the server a fifth of a second to make."""
    names: list[str] = []
    yield names
    for name in names:
        mongo_client.drop_database(name)


@pytest.fixture
def database_name(
    request: pytest.FixtureRequest, mongo_client: MongoClient[Document], _indexed_databases: list[str]
) -> Iterator[str]:
    """An empty database of this test's own; so are its console's and its analyzer's, which are dropped after it."""
    # What a killed process left behind might still write, so its database is for no other test.
    reusable = "database" in request.fixturenames and not request.node.get_closest_marker("crash")
    name = _indexed_databases.pop() if reusable and _indexed_databases else f"test_{uuid4().hex[:16]}"
    yield name
    for suffix in ("_console", "_analyzer"):
        mongo_client.drop_database(f"{name}{suffix}")
    if reusable:
        empty(mongo_client[name])
        _indexed_databases.append(name)
    else:
        mongo_client.drop_database(name)


@pytest.fixture
def names(amqp_url: str) -> Iterator[Names]:
    """Fresh names; queues (also their `error.` ones) and exchanges named through it are deleted after the test."""
    names = Names()
    yield names
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        for queue in names.queues:
            channel.queue_delete(queue)
            channel.queue_delete(error_queue(queue))
        for exchange in names.exchanges:
            channel.exchange_delete(exchange)


@pytest.fixture
def settings(amqp_url: str, mongo_url: str, database_name: str, names: Names, tmp_path: Path) -> Settings:
    """Settings on the shared services with this test's own names; quick retries, free health ports."""
    return Settings(
        amqp_url=SecretStr(amqp_url),
        mongo_url=SecretStr(mongo_url),
        database=database_name,
        console_database=f"{database_name}_console",
        analyzer_database=f"{database_name}_analyzer",
        data_dir=tmp_path / "data",
        reply_stream=names.queue("updates"),
        dead_letter_queue=names.queue("dead-letters"),
        heartbeat_queue=names.queue("heartbeats"),
        consumer_health_port=0,
        monitor_health_port=0,
        reconciler_health_port=0,
        dead_letters_health_port=0,
        forwarder_health_port=0,
        web_port=0,
        retry_max_wait_s=0.5,
    )


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The trail's database of this test, with its indexes."""
    async with Database(settings.require_mongo_url(), settings.database, timeout_s=WAIT_S) as database:
        await database.ensure_indexes()
        yield database


@pytest.fixture
async def console(database: Database, settings: Settings) -> Console:
    """The console's and the analyzer's collections of this test, with their indexes."""
    console = Console(database, settings)
    await console.ensure_indexes()
    return console


@pytest.fixture
def bench(mongo_client: MongoClient[dict[str, Any]], settings: Settings) -> Bench:
    """Fills and reads the databases of this test, past JobTrail's own code."""
    return Bench(mongo_client, settings)


@contextmanager
def _private_stack(folder: Path, **given: str) -> Iterator[PrivateStack]:
    stack = PrivateStack(folder / f"own-{uuid4().hex[:12]}", cache_gb=0.25, **given)
    stack.start()
    try:
        yield stack
    finally:
        stack.stop(grace_s=0)
        shutil.rmtree(stack.data_dir, ignore_errors=True)


@pytest.fixture
def own_stack(stack_folder: Path) -> Iterator[PrivateStack]:
    """Private services of this test's own, up, to be stopped, killed, frozen and restarted at will."""
    with _private_stack(stack_folder) as stack:
        yield stack


@pytest.fixture
def own_mongod(stack_folder: Path) -> Iterator[Mongod]:
    """A MongoDB of this test's own, as `own_stack`, for tests that leave the broker alone: that takes long to start."""
    with _private_stack(stack_folder, amqp_url=_NOT_STARTED) as stack:
        yield stack.mongod


@pytest.fixture(scope="session")
def _worker_rabbitmq(stack_folder: Path) -> Iterator[RabbitMq]:
    """A RabbitMQ for each worker in turn: to start one takes a processor for five seconds."""
    with _private_stack(stack_folder, mongo_url=_NOT_STARTED) as stack:
        yield stack.rabbitmq


@pytest.fixture
def own_rabbitmq(_worker_rabbitmq: RabbitMq) -> Iterator[RabbitMq]:
    """A RabbitMQ that is this test's alone for now, to be stopped, killed, frozen and restarted at will.

    Tests with `own_stack` may use any names; here former tests may have left something under names of theirs.
    """
    yield _worker_rabbitmq
    if not _worker_rabbitmq.is_running:
        _worker_rabbitmq.start()
    os.kill(_worker_rabbitmq.pid, signal.SIGCONT)
    _worker_rabbitmq.control("set_vm_memory_high_watermark", "0.5")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, operations fail after one second without a database, instead of five."""
    assert Database.__init__.__kwdefaults__
    monkeypatch.setitem(Database.__init__.__kwdefaults__, "timeout_s", 1.0)
