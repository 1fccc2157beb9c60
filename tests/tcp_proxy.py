"""A network that fails: a proxy in front of a service whose connections freeze, in one direction or both, or break."""

import select
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_PORTS = {"amqp": 5672, "mongodb": 27017}
_CHUNK_BYTES = 64 * 1024
_CONNECT_TIMEOUT_S = 10.0
_LOOK_S = 0.05


class TcpProxy:
    """Forwards connections to a service. What `freeze` and `cut` do, they do to the connections open at that moment:
    new ones are forwarded. Frozen bytes are taken from their sender, kept, and not delivered, until `thaw`.

    Args:
        url: The service, a URL with one host.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or _PORTS[parts.scheme])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._pairs: list[_Pair] = []
        user, at, _ = parts.netloc.rpartition("@")
        here = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = parts._replace(netloc=f"{user}{at}{here}").geturl()
        """The service's URL, by way of the proxy."""
        self._thread = threading.Thread(target=self._accept, name="tcp-proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def accepted(self) -> int:
        """How many connections have been made so far."""
        return len(self._pairs)

    @property
    def open(self) -> int:
        """How many connections their clients have not given up."""
        return sum(not pair.client_gone.is_set() for pair in self._pairs)

    def freeze(self, *, to_server: bool = True, to_client: bool = True) -> None:
        """Deliver nothing more in these directions; nobody is told."""
        for pair in self._all():
            if to_server:
                pair.to_server_open.clear()
            if to_client:
                pair.to_client_open.clear()

    def thaw(self) -> None:
        """Deliver what was held back, and go on."""
        for pair in self._all():
            pair.to_server_open.set()
            pair.to_client_open.set()

    def cut(self) -> None:
        """Break the connections, for both sides to see."""
        for pair in self._all():
            pair.end()

    def close(self) -> None:
        """Break the connections and take no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.cut()

    def _all(self) -> "list[_Pair]":
        with self._lock:
            return list(self._pairs)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, _CONNECT_TIMEOUT_S)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._pairs.append(_Pair(client, server))


class _Pair:
    """One connection: a socket to each side, and a thread for each direction."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client = client
        self._server = server
        self.to_server_open = threading.Event()
        self.to_client_open = threading.Event()
        self.client_gone = threading.Event()
        for source, target, is_open, gone in (
            (client, server, self.to_server_open, self.client_gone),
            (server, client, self.to_client_open, threading.Event()),
        ):
            is_open.set()
            threading.Thread(target=self._pump, args=(source, target, is_open, gone), daemon=True).start()

    def end(self) -> None:
        """Close both sides."""
        for each in (self._client, self._server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.to_server_open.set()
        self.to_client_open.set()

    def _pump(
        self, source: socket.socket, target: socket.socket, is_open: threading.Event, gone: threading.Event
    ) -> None:
        held = bytearray()
        with suppress(OSError, ValueError):  # a socket that was closed by `end`
            while True:
                # Also while frozen: what is delivered later must be taken from its sender now, as its end must be seen.
                if select.select([source], [], [], _LOOK_S)[0]:
                    data = source.recv(_CHUNK_BYTES)
                    if not data:
                        break
                    held += data
                if held and is_open.is_set():
                    target.sendall(held)
                    held.clear()
        gone.set()
        is_open.wait()
        with suppress(OSError):
            target.sendall(held)
            target.shutdown(socket.SHUT_WR)
