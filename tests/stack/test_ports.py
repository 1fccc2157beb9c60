"""The usual ports of our services, where several runs on one machine want them."""

import socket
from pathlib import Path

import pytest

from jobtrail.stack.ports import HOST, Ports


@pytest.fixture
def usual() -> int:
    """A port that is free."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def test_the_first_run_gets_the_usual_port_and_the_second_another_one(usual: int, tmp_path: Path) -> None:
    first, second = Ports(tmp_path / "1.json"), Ports(tmp_path / "2.json")
    assert first.reserve("web", usual) == usual
    other = second.reserve("web", usual)
    assert other != usual
    assert second.reserve("web", usual) == other

    first.release()
    second.release()
    assert second.reserve("web", usual) == usual
    second.release()


def test_a_port_that_another_program_listens_on_is_left_alone(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as stranger:
        taken = stranger.getsockname()[1]
        ports = Ports(tmp_path / "ports.json")
        assert ports.reserve("web", taken) != taken
        ports.release()


def test_the_service_for_which_a_port_is_reserved_can_listen_on_it(usual: int, tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    with socket.create_server((HOST, ports.reserve("web", usual))) as service:
        assert service.getsockname()[1] == usual
    ports.release()
