"""Why a broker can't be reached, in words that help."""

import socket
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import pika
import pytest

from jobtrail.broker.address import connection_parameters
from jobtrail.broker.errors import broker_failures, plain_words
from jobtrail.broker.link import Link
from jobtrail.models.errors import BrokerError


@contextmanager
def answering(answer: bytes):
    """A port where something else answers than a broker."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(64)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def blocking(url: str) -> str:
    """What a blocking connection's failure reads like."""
    with pytest.raises(BrokerError) as caught, broker_failures(url):
        pika.BlockingConnection(connection_parameters(url, "test"))
    return str(caught.value)


def threaded(url: str) -> str:
    """The same for a worker's connection."""
    reasons: list[BaseException] = []
    Link(connection_parameters(url, "test"), lambda _channel: None, reasons.append).run()
    return plain_words(reasons[0])


@pytest.fixture(params=[blocking, threaded])
def failure(request):
    return request.param


def test_a_wrong_password_is_called_so(failure, amqp_url):
    parts = urlsplit(amqp_url)
    wrong = parts._replace(netloc=f"jobtrail:secret-guess@{parts.hostname}:{parts.port}").geturl()
    said = failure(wrong)
    assert "wrong user or password" in said
    assert "secret-guess" not in said


def test_a_missing_virtual_host_is_called_so(failure, amqp_url):
    assert "virtual host" in failure(urlsplit(amqp_url)._replace(path="/nowhere").geturl())


def test_a_port_where_nobody_listens_is_called_so(failure):
    assert "Connection refused" in failure("amqp://guest:guest@127.0.0.1:1/")


def test_a_host_that_does_not_exist_is_called_so(failure):
    said = failure("amqp://guest:guest@nowhere.invalid:5672/")
    assert "AMQPConnection" not in said
    assert "not known" in said or "resolution" in said


def test_what_speaks_another_protocol_is_called_so(failure):
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as host:
        assert "does not speak AMQP" in failure(f"amqp://guest:guest@{host}/")


def test_of_several_nodes_the_last_ones_reason_counts(amqp_url):
    parts = urlsplit(amqp_url)
    host = f"{parts.hostname}:{parts.port}"
    said = blocking(f"amqp://jobtrail:wrong@127.0.0.1:1,{host}/")
    assert "wrong user or password" in said
    assert f"127.0.0.1:1,{host}" in said


def test_a_broker_that_says_nothing_is_called_so(amqp_url, monkeypatch):
    monkeypatch.setattr("jobtrail.broker.address.CONNECT_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert "no answer within" in blocking(f"amqp://guest:guest@127.0.0.1:{server.getsockname()[1]}/")
