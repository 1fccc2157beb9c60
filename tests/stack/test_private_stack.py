"""What the private stack promises to everything that stands on it."""

import ipaddress
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pika
import psutil
import pytest
from pymongo import MongoClient

from jobtrail.models.errors import SettingError
from jobtrail.stack import mongod, rabbitmq
from jobtrail.stack.errors import StackBusyError, StackError
from jobtrail.stack.ports import Ports
from jobtrail.stack.private_stack import PrivateStack
from jobtrail.stack.processes import ProcessIdentity
from jobtrail.stack.rabbitmq import RabbitMq
from jobtrail.stack.state import STATE_FILE, StackState, StackUrls, find_running
from tests.conftest import Document
from tests.support import Names, eventually

SETTLING_S = 2.0
"""A stream that is younger than a second does not survive a kill on RabbitMQ 3.10, and nothing tells when it would."""
RUN_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from stack.private_stack import PrivateStack
with PrivateStack(Path(sys.argv[1]), cache_gb=0.25):
    print("up", flush=True)
    time.sleep(600)
"""


def publish(url: str, queue: str, *bodies: bytes) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        for body in bodies:
            channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))


def take(url: str, queue: str) -> bytes | None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        body: bytes | None = connection.channel().basic_get(queue, auto_ack=True)[2]
        return body


def insert(url: str, name: str) -> None:
    client: MongoClient[Document] = MongoClient(url)
    with client:
        client.kept.things.insert_one({"_id": name})


def stored(url: str) -> list[object]:
    client: MongoClient[Document] = MongoClient(url)
    with client:
        return [thing["_id"] for thing in client.kept.things.find(sort=[("_id", 1)])]


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that has to do with the folder: by its arguments, its environment or its working folder."""
    found = []
    for process in psutil.process_iter():
        try:
            known_by = [*process.cmdline(), *process.environ().values(), process.cwd()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(folder) in text for text in known_by):
            found.append(process)
    return found


@pytest.fixture
def folder(stack_folder: Path, names: Names) -> Path:
    return stack_folder / f"own {names.prefix}"


@pytest.fixture(scope="module")
def quiet_stack(stack_folder: Path) -> Iterator[PrivateStack]:
    """Private services that are up, only to be looked at."""
    stack = PrivateStack(stack_folder / f"quiet-{uuid4().hex[:12]}", cache_gb=0.25)
    stack.start()
    yield stack
    stack.stop(grace_s=0)


def test_the_shared_services_take_messages_and_transactions(
    stack: StackUrls, names: Names, database_name: str, mongo_client: MongoClient[Document]
) -> None:
    publish(stack.amqp_url, names.queue(), b"hello")
    assert take(stack.amqp_url, names.queue()) == b"hello"
    with mongo_client.start_session() as session, session.start_transaction():
        mongo_client[database_name].things.insert_one({"_id": 1}, session=session)


def test_messages_and_documents_survive_a_stop_and_a_kill(own_stack: PrivateStack) -> None:
    urls = own_stack.urls
    publish(urls.amqp_url, "kept", b"one", b"two")
    insert(urls.mongo_url, "one")
    own_stack.rabbitmq.stop()
    own_stack.mongod.stop()
    assert find_running(own_stack.data_dir) is None
    own_stack.rabbitmq.start()
    own_stack.mongod.start()
    assert take(urls.amqp_url, "kept") == b"one"
    assert stored(urls.mongo_url) == ["one"]
    insert(urls.mongo_url, "two")
    own_stack.rabbitmq.kill()
    own_stack.mongod.kill()
    assert own_stack.ended() == ["rabbitmq", "mongod"]
    own_stack.rabbitmq.start()
    own_stack.mongod.start()
    assert take(urls.amqp_url, "kept") == b"two"
    assert stored(urls.mongo_url) == ["one", "two"]
    assert find_running(own_stack.data_dir) == urls


def test_a_stream_and_what_was_confirmed_into_it_survive_a_kill(own_rabbitmq: RabbitMq) -> None:
    def last_offset() -> int:
        """Attaching is refused for some seconds after a kill."""
        try:
            with pika.BlockingConnection(pika.URLParameters(own_rabbitmq.url)) as connection:
                channel = connection.channel()
                channel.basic_qos(prefetch_count=1000)
                offset = None
                for _, properties, _ in channel.consume(
                    "kept", arguments={"x-stream-offset": "first"}, inactivity_timeout=1
                ):
                    if properties is None:
                        break
                    offset = properties.headers["x-stream-offset"]
        except pika.exceptions.AMQPError as error:
            raise AssertionError(str(error)) from error
        assert offset is not None
        return int(offset)

    with pika.BlockingConnection(pika.URLParameters(own_rabbitmq.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "stream"})
        time.sleep(SETTLING_S)
        for _ in range(100):
            channel.basic_publish("", "kept", b"update", mandatory=True)
    own_rabbitmq.kill()
    own_rabbitmq.start()

    assert eventually(last_offset) == 99


def test_the_next_start_finds_the_data_even_on_other_ports(folder: Path) -> None:
    with PrivateStack(folder, cache_gb=0.25) as first:
        publish(first.urls.amqp_url, "kept", b"one")
        insert(first.urls.mongo_url, "one")
        before = first.urls
    assert not (folder / STATE_FILE).exists()
    (folder / "ports.json").unlink()
    with PrivateStack(folder, cache_gb=0.25) as second:
        assert second.urls != before
        assert take(second.urls.amqp_url, "kept") == b"one"
        assert stored(second.urls.mongo_url) == ["one"]


def test_a_stopped_stack_leaves_no_process(folder: Path) -> None:
    with PrivateStack(folder, cache_gb=0.25):
        assert {process.name() for process in processes_of(folder)} >= {"beam.smp", "epmd", "mongod"}
    assert processes_of(folder) == []


def test_a_second_start_in_one_folder_names_the_process_that_holds_it(quiet_stack: PrivateStack) -> None:
    with pytest.raises(StackBusyError, match=str(os.getpid())):
        PrivateStack(quiet_stack.data_dir).start()
    assert quiet_stack.ended() == []
    assert find_running(quiet_stack.data_dir) == quiet_stack.urls


def test_nothing_listens_outside_this_machine(quiet_stack: PrivateStack) -> None:
    addresses = {
        connection.laddr.ip
        for process in processes_of(quiet_stack.data_dir)
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses
    assert all(ipaddress.ip_address(address).is_loopback for address in addresses), addresses


def test_secrets_are_readable_by_their_owner_only(quiet_stack: PrivateStack) -> None:
    password = quiet_stack.urls.amqp_url.partition(":")[2].partition("@")[0].rpartition(":")[2].encode()
    holders = [path for path in quiet_stack.data_dir.rglob("*") if path.is_file() and password in path.read_bytes()]
    assert quiet_stack.data_dir / STATE_FILE in holders
    for path in [*holders, quiet_stack.data_dir / "rabbitmq" / "home" / ".erlang.cookie"]:
        private = [stat.S_IMODE(step.stat().st_mode) & 0o077 == 0 for step in (path, *path.parents)]
        assert any(private), path


def test_services_end_with_a_killed_supervisor_and_the_next_start_has_the_data(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", RUN_UNTIL_KILLED, folder], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"up\n"
        urls = find_running(folder)
        assert urls is not None
        publish(urls.amqp_url, "kept", b"one")
        insert(urls.mongo_url, "one")
        supervisor.kill()
    eventually(lambda: not processes_of(folder), timeout_s=30)
    assert find_running(folder) is None
    with PrivateStack(folder, cache_gb=0.25) as stack:
        assert stack.urls == urls
        assert take(urls.amqp_url, "kept") == b"one"
        assert stored(urls.mongo_url) == ["one"]


def test_services_that_outlived_their_supervisor_are_stopped_by_the_next_start(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", RUN_UNTIL_KILLED, folder], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"up\n"
        left_behind = processes_of(folder)
        for process in left_behind:
            if process.name() in ("beam.smp", "mongod"):
                process.suspend()  # frozen, they cannot follow their supervisor
        supervisor.kill()
    told: list[str] = []
    with PrivateStack(folder, cache_gb=0.25, on_progress=told.append):
        assert "rabbitmq" in told[0]
        assert "mongod" in told[0]
        assert not [process for process in left_behind if process.is_running()]


def test_a_process_that_merely_got_the_number_of_a_dead_service_is_spared(folder: Path) -> None:
    folder.mkdir()
    with subprocess.Popen(["sleep", "600"]) as stranger:
        identity = ProcessIdentity.of(stranger.pid)
        assert identity is not None
        StackState(folder).note_process(
            "mongod", ProcessIdentity(pid=stranger.pid, started_ticks=identity.started_ticks - 1)
        )
        with PrivateStack(folder, cache_gb=0.25):
            assert stranger.poll() is None
        stranger.send_signal(signal.SIGKILL)


def test_a_service_that_cannot_start_says_why_and_leaves_nothing_running(folder: Path) -> None:
    (folder / "mongo").mkdir(parents=True)
    (folder / "mongo" / "journal").write_text("this should be a folder")
    with pytest.raises(StackError, match="MongoDB ended while it started"):
        PrivateStack(folder, cache_gb=0.25).start()
    assert processes_of(folder) == []
    assert find_running(folder) is None


def test_without_rabbitmq_and_root_the_error_names_three_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(rabbitmq.SERVER_VARIABLE, raising=False)
    monkeypatch.setattr(rabbitmq, "_SERVER", Path("/nowhere/rabbitmq-server"))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StackError, match=r"JOBTRAIL_AMQP_URL.*apt-get install rabbitmq-server.*Docker"):
        rabbitmq.prepare_server(print)


def test_another_server_than_the_installed_one_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "rabbitmq-server"
    monkeypatch.setenv(rabbitmq.SERVER_VARIABLE, str(named))
    with pytest.raises(StackError, match=f"JOBTRAIL_RABBITMQ_SERVER names {named}, which is not a file"):
        rabbitmq.prepare_server(print)
    named.touch()
    assert rabbitmq.find_server() == named


def test_without_mongod_the_error_names_three_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "modules", {name: module for name, module in sys.modules.items() if name != "fiftyone"})
    with pytest.raises(StackError, match=r"JOBTRAIL_MONGO_URL.*jobtrail\[embedded\].*Docker"):
        mongod.prepare_mongod(print)


def test_a_folder_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingError, match="JOBTRAIL_DATA_DIR"):
        PrivateStack(tmp_path / "file" / "data").start()


def test_given_services_are_used_and_not_started(folder: Path, stack: StackUrls) -> None:
    with PrivateStack(folder, amqp_url=stack.amqp_url, mongo_url=stack.mongo_url) as given:
        assert given.urls == stack
        assert find_running(folder) == stack
        assert processes_of(folder) == []
    assert find_running(folder) is None


def test_two_searches_never_reserve_the_same_port(tmp_path: Path) -> None:
    searches = [Ports(tmp_path / f"{number}.json") for number in range(200)]
    ports = [search.reserve("amqp") for search in searches]
    assert len(set(ports)) == len(ports)
    for search in searches:
        search.release()
    again = Ports(tmp_path / "7.json")
    assert again.reserve("amqp") == ports[7]
    again.release()
