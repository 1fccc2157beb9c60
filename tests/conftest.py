"""Fixtures: real services that all tests of a run share, and fresh names and databases for each test."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pika
import pytest
from pydantic import SecretStr
from pymongo import MongoClient

from models.settings import Settings
from models.topology import error_queue
from stack.private_stack import PrivateStack
from stack.state import StackUrls
from tests.backends import StackHost, ask_for_services
from tests.support import Names

REPOSITORY = Path(__file__).resolve().parent.parent
_HOST = pytest.StashKey[StackHost]()
Document = dict[str, Any]
_FOLDER_KEY = "stack_folder"


def pytest_configure(config: pytest.Config) -> None:
    """Start the host in the main process, and keep the developer's own settings out of the tests."""
    if not hasattr(config, "workerinput"):
        config.stash[_HOST] = StackHost()
    for name in [name for name in os.environ if name.startswith("JOBTRAIL_")]:
        del os.environ[name]
    # Tests run in folders of their own, and so do the processes that they start.
    os.environ["PYTHONPATH"] = str(REPOSITORY)


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
    client: MongoClient[Document] = MongoClient(mongo_url, tz_aware=True)
    with client:
        yield client


@pytest.fixture
def database_name(mongo_client: MongoClient[Document]) -> Iterator[str]:
    """A database of this test's own, dropped after it."""
    name = f"test_{uuid4().hex[:16]}"
    yield name
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
        data_dir=tmp_path / "data",
        reply_queue=names.queue("replies"),
        dead_letter_queue=names.queue("dead-letters"),
        heartbeat_queue=names.queue("heartbeats"),
        consumer_health_port=0,
        monitor_health_port=0,
        retry_max_wait_s=0.5,
    )


@pytest.fixture
def own_stack(stack_folder: Path) -> Iterator[PrivateStack]:
    """Private services of this test's own, up, to be stopped, killed, frozen and restarted at will."""
    folder = stack_folder / f"own-{uuid4().hex[:12]}"
    stack = PrivateStack(folder, cache_gb=0.25)
    stack.start()
    yield stack
    stack.stop(grace_s=0)
    shutil.rmtree(folder, ignore_errors=True)
