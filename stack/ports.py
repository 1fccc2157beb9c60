"""Reserves free ports, so that checkouts and test runs side by side do not pick the same one.

A reserved port has a socket bound to it that never listens. Linux lets a service with SO_REUSEADDR (mongod and Erlang
set it) listen on that port all the same, while a second search, which binds without it, sees that it is taken.
"""

import json
import random
import socket
from pathlib import Path

from jobtrail.stack.errors import StackError

HOST = "127.0.0.1"
_CANDIDATES = range(20_000, 32_000)
"""Below Linux's range for outgoing connections, which could take a port while its service restarts."""
_TRIES = 200


class Ports:
    """The ports of one data folder, remembered between runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reserved: dict[str, socket.socket] = {}
        self._claims: list[socket.socket] = []

    def reserve(self, name: str, usual: int = 0) -> int:
        """Reserve the usual port, else last time's if free, else a new one; the same one until `release`."""
        held = self._reserved.get(name)
        if held is None:
            held = (self._bind_usual(usual) if usual else None) or self._bind_own(name)
            self._reserved[name] = held
        return _port_of(held)

    def release(self) -> None:
        """Give all ports back."""
        for held in (*self._reserved.values(), *self._claims):
            held.close()
        self._reserved.clear()
        self._claims.clear()

    def _bind_usual(self, port: int) -> socket.socket | None:
        """Claim a port that other stacks want too; they could also bind it as long as nothing listens on it."""
        claim = socket.socket(socket.AF_UNIX)
        try:
            # A name in Linux's abstract namespace has one holder, and is free again when its holder dies.
            claim.bind(f"\0jobtrail.port.{port}")
        except OSError:
            claim.close()
            return None
        held = _bind(port)
        if held is None:
            claim.close()
        else:
            self._claims.append(claim)
        return held

    def _bind_own(self, name: str) -> socket.socket:
        remembered = self._load()
        held = (_bind(remembered[name]) if name in remembered else None) or _bind_new()
        self._save(remembered | {name: _port_of(held)})
        return held

    def _load(self) -> dict[str, int]:
        try:
            ports = json.loads(self._path.read_text())
            return {str(name): int(port) for name, port in ports.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            # Missing, or cut off by a crash: new ports do as well.
            return {}

    def _save(self, ports: dict[str, int]) -> None:
        self._path.write_text(json.dumps(ports))


def free_port() -> int:
    """Find a port of this machine that is free at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return _port_of(held)


def answers(port: int, timeout_s: float = 0.5) -> bool:
    """Tell whether something on this machine accepts connections on a port."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def _bind(port: int) -> socket.socket | None:
    """Bind a certain port, even if closed connections of the last run still linger on it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((HOST, port))
    except OSError:
        held.close()
        return None
    return held


def _bind_new() -> socket.socket:
    for port in random.sample(_CANDIDATES, _TRIES):
        held = socket.socket()
        try:
            held.bind((HOST, port))
        except OSError:
            held.close()
            continue
        # Only now, because the bind must fail where another stack has reserved the port.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return held
    raise StackError(f"none of {_TRIES} ports between {_CANDIDATES.start} and {_CANDIDATES.stop} is free")


def _port_of(held: socket.socket) -> int:
    return int(held.getsockname()[1])
