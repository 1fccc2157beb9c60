"""A private RabbitMQ node: own name, ports, folders, cookie, user and epmd, on 127.0.0.1 only.

Debian's /usr/sbin wrapper switches to a user who can't write to our folders, so we run the server's own script. Erlang
nodes find each other through epmd, a daemon that the first node leaves behind on the machine's standard port; ours has
its own port and ends with us. RabbitMQ's settings: https://www.rabbitmq.com/docs/configure
"""

import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pika
from pika.exceptions import AMQPError

from jobtrail.stack import debian
from jobtrail.stack.errors import StackError
from jobtrail.stack.ports import HOST, Ports
from jobtrail.stack.processes import ChildProcess, spawn
from jobtrail.stack.progress import OnProgress
from jobtrail.stack.service import PrivateService
from jobtrail.stack.state import StackState

NAME = "rabbitmq"
EPMD = "epmd"
USER = "jobtrail"
NODE = "jobtrail@localhost"
"""Not the machine's name, so that data still belongs to the node when the machine is renamed."""
_UP_WITHIN_S = 90.0
SERVER_VARIABLE = "JOBTRAIL_RABBITMQ_SERVER"
"""Names another server script than the installed one; `scripts/rabbitmq4` makes one, with its tools beside it."""
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_POLL_S = 0.05
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"
_WAYS_OUT = (
    "no RabbitMQ server was found. Three ways out: set JOBTRAIL_AMQP_URL to a broker's URL; install it, on Debian and "
    "Ubuntu with `sudo apt-get install rabbitmq-server`; or run it in Docker with `docker compose up rabbitmq`"
)


def find_server() -> Path | None:
    """Find RabbitMQ's server script: the one that `JOBTRAIL_RABBITMQ_SERVER` names, else Debian's, else one on PATH."""
    named = os.environ.get(SERVER_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise StackError(f"{SERVER_VARIABLE} names {named}, which is not a file")
        return Path(named)
    if _SERVER.is_file():
        return _SERVER
    on_path = shutil.which("rabbitmq-server")
    return Path(on_path).resolve() if on_path else None


def prepare_server(on_progress: OnProgress) -> None:
    """Install RabbitMQ where it is missing and we are root; else StackError says what to do."""
    if find_server() is None:
        debian.install("rabbitmq-server", on_progress=on_progress, otherwise=_WAYS_OUT)
        debian.disable_service("rabbitmq-server")


class RabbitMq(PrivateService):
    """One private RabbitMQ node."""

    name = NAME
    title = "RabbitMQ"
    stop_grace_s = 30.0

    def __init__(self, folder: Path, *, log_folder: Path, ports: Ports, state: StackState) -> None:
        super().__init__(ports.reserve("amqp"), state)
        self._folder = folder
        self._log_folder = log_folder
        self._epmd_port = ports.reserve("epmd")
        self._distribution_port = ports.reserve("rabbitmq-distribution")
        self._epmd: ChildProcess | None = None

    @property
    def url(self) -> str:
        """How clients reach it, with user and password."""
        return f"amqp://{USER}:{self._secret('password')}@{HOST}:{self.port}/"

    def spawn(self) -> None:
        """Start its process, and epmd if that does not run; returns at once."""
        server = find_server()
        if server is None:
            raise StackError(_WAYS_OUT)
        self._write_settings()
        environment = self._environment()
        if self._epmd is None or not self._epmd.is_running:
            epmd = server.with_name("epmd")
            self._epmd = spawn(
                [epmd if epmd.is_file() else "epmd", "-port", str(self._epmd_port), "-address", HOST],
                environment=environment,
                folder=self._folder,
                log_file=self._log_folder / "epmd.log",
            )
            self._state.note_process(EPMD, self._epmd.identity)
        log_file = self._log_folder / "rabbitmq-boot.log"
        self._note(spawn([server], environment=environment, folder=self._folder, log_file=log_file))

    def wait_until_up(self) -> None:
        """Wait until a client can log in."""
        deadline = time.monotonic() + _UP_WITHIN_S
        while not self._speaks_amqp():
            self._check_start(deadline, "its port does not answer, or not in AMQP")
            time.sleep(_POLL_S)
        try:
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
        except AMQPError as error:
            raise StackError(f"RabbitMQ is up but refuses us: {type(error).__name__} {error}") from error

    def stop(self, grace_s: float | None = None) -> None:
        """Stop it; its data stays. See `PrivateService.stop`."""
        super().stop(grace_s)
        self._stop_epmd()

    def kill(self) -> None:
        """Kill it, as a crash would; its data stays."""
        super().kill()
        self._stop_epmd()

    def control(self, *arguments: str, timeout_s: float = 60.0) -> str:
        """Run one `rabbitmqctl` command on the node, such as `"add_vhost", "tests"`, and return its output."""
        server = find_server()
        if server is None:
            raise StackError(_WAYS_OUT)
        try:
            outcome = subprocess.run(
                [server.with_name("rabbitmqctl"), "--node", NODE, "--quiet", *arguments],
                capture_output=True,
                text=True,
                check=False,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                timeout=timeout_s,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StackError(f"rabbitmqctl {arguments[0]} failed: {error}") from error
        if outcome.returncode != 0:
            raise StackError(f"rabbitmqctl {arguments[0]} failed: {(outcome.stderr or outcome.stdout).strip()[-500:]}")
        return outcome.stdout

    def _stop_epmd(self) -> None:
        if self._epmd:
            self._epmd.kill()
            self._state.forget_process(EPMD)

    def _write_settings(self) -> None:
        for folder in (self._home, self._log_folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        cookie = self._home / ".erlang.cookie"
        if not cookie.exists():
            _write_private(cookie, secrets.token_hex(20), mode=0o400)
        _write_private(self._folder / "enabled_plugins", "[].\n")
        settings = {
            "listeners.tcp.local": f"{HOST}:{self.port}",
            "distribution.listener.interface": HOST,
            "distribution.listener.port_range.min": self._distribution_port,
            "distribution.listener.port_range.max": self._distribution_port,
            "default_user": USER,
            "default_pass": self._secret("password"),
            # A developer's machine has other uses for its memory and disk: don't block early, and don't fill them.
            "vm_memory_high_watermark.relative": 0.5,
            "disk_free_limit.absolute": "200MB",
            "log.file.rotation.size": 10 * 1024 * 1024,
            "log.file.rotation.count": 1,
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        _write_private(self._folder / "rabbitmq.conf", lines)

    def _environment(self) -> dict[str, str]:
        """Everything that the scripts would otherwise take from the machine's own installation."""
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "HOME": str(self._home),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_CRASH_DUMP_SECONDS": "0",
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "no-rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self._folder / "generated"),
            "RABBITMQ_LOG_BASE": str(self._log_folder),
            "RABBITMQ_LOGS": str(self._log_folder / "rabbitmq.log"),
            "RABBITMQ_CTL_ERL_ARGS": loopback,
            # Then the script becomes the Erlang process instead of waiting for it: pid and signals are the node's.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    @property
    def _home(self) -> Path:
        return self._folder / "home"

    def _secret(self, name: str) -> str:
        """Return a password, made once: the node takes it at its first start only."""
        path = self._folder / name
        if not path.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_private(path, secrets.token_hex(24))
        return path.read_text()

    def _speaks_amqp(self) -> bool:
        """Exchange the first bytes by hand, because a client library would log each failed try as an error."""
        try:
            with socket.create_connection((HOST, self.port), timeout=1.0) as connection:
                connection.sendall(_AMQP_HEADER)
                return connection.recv(1) == _METHOD_FRAME
        except OSError:
            return False


def _write_private(path: Path, text: str, mode: int = 0o600) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
