"""The private services of one data folder, started and stopped together."""

import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from jobtrail.models.errors import SettingError
from jobtrail.stack.errors import StackError
from jobtrail.stack.mongod import Mongod, prepare_mongod
from jobtrail.stack.ports import Ports
from jobtrail.stack.progress import OnProgress, no_progress
from jobtrail.stack.rabbitmq import RabbitMq, prepare_server
from jobtrail.stack.service import PrivateService
from jobtrail.stack.state import FolderLock, StackState, StackUrls, left_behind

LEFT_BEHIND_GRACE_S = 20.0
_GIB = 1024**3
_MIN_FREE_DISK = _GIB


class PrivateStack:
    """A private RabbitMQ and a private MongoDB; a service whose URL is given is used as it is and not started.

    Use it as a context manager, or call `start` and `stop`. The data stays in the folder for the next start. The
    services end with this process, however it ends.

    Args:
        data_dir: The folder for data, logs and the state file; made where it is missing.
        amqp_url: A broker to use instead of a private one.
        mongo_url: A replica set to use instead of a private one.
        cache_gb: Memory for MongoDB's cache, in GiB.
        on_progress: Told what happens.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        amqp_url: str | None = None,
        mongo_url: str | None = None,
        cache_gb: float = 0.5,
        on_progress: OnProgress = no_progress,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self._given_amqp_url = amqp_url
        self._given_mongo_url = mongo_url
        self._cache_gb = cache_gb
        self._on_progress = on_progress
        self._lock = FolderLock(self.data_dir)
        self._ports = Ports(self.data_dir / "ports.json")
        self._state = StackState(self.data_dir)
        self._rabbitmq: RabbitMq | None = None
        self._mongod: Mongod | None = None
        self._urls: StackUrls | None = None

    @property
    def urls(self) -> StackUrls:
        """How to reach the services.

        Raises:
            StackError: They are not up.
        """
        if self._urls is None:
            raise StackError("the private services are not up")
        return self._urls

    @property
    def rabbitmq(self) -> RabbitMq:
        """The private broker.

        Raises:
            StackError: There is none.
        """
        if self._rabbitmq is None:
            raise StackError("there is no private RabbitMQ: it was not started, or JOBTRAIL_AMQP_URL is set")
        return self._rabbitmq

    @property
    def mongod(self) -> Mongod:
        """The private database.

        Raises:
            StackError: There is none.
        """
        if self._mongod is None:
            raise StackError("there is no private MongoDB: it was not started, or JOBTRAIL_MONGO_URL is set")
        return self._mongod

    def reserve_port(self, name: str, usual: int = 0) -> int:
        """Reserve a port of this machine for a process that belongs to this stack; `stop` gives it back.

        Args:
            name: What it is for.
            usual: The port that people expect it on; 0 is none.

        Returns:
            That port, or a free one where it is taken.

        Raises:
            StackError: No free port was found.
        """
        return self._ports.reserve(name, usual)

    @property
    def state(self) -> StackState:
        """Where processes that belong to this stack are noted, so that the next start cleans up after a crash."""
        return self._state

    @property
    def log_folder(self) -> Path:
        """Where the services' logs are."""
        return self.data_dir / "logs"

    def start(self) -> StackUrls:
        """Start the services and wait until they are up.

        Returns:
            How to reach them.

        Raises:
            StackBusyError: Another process runs the services of this folder.
            StackError: A service could not be installed or started; none is left running.
            SettingError: The folder can't be used.
        """
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.log_folder.mkdir(mode=0o700, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            raise SettingError(
                f"JOBTRAIL_DATA_DIR ({self.data_dir}) must be a folder that we can write: {error}"
            ) from error
        try:
            self._clean_up()
            self._make_services()
            self._start_services()
        except BaseException:
            self.stop()
            raise
        return self.urls

    def ended(self) -> list[str]:
        """Tell which services have ended although nobody stopped the stack.

        Returns:
            Their names.
        """
        return [service.name for service in self._services() if not service.is_running]

    def stop(self, *, grace_s: float | None = None) -> None:
        """Stop the services, both at once; their data stays. Stopping twice does no harm.

        Args:
            grace_s: How long they may take to end by themselves, in seconds; None for as long as they usually need.
                0 kills them.
        """
        services = self._services()
        if grace_s != 0:
            for service in services:
                service.terminate()
        for service in services:
            if grace_s == 0:
                service.kill()
            else:
                service.stop(grace_s)
        if self._lock.is_held:
            self._state.clear()
        self._rabbitmq = self._mongod = self._urls = None
        self._ports.release()
        self._lock.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def _services(self) -> list[PrivateService]:
        return [service for service in (self._rabbitmq, self._mongod) if service is not None]

    def _clean_up(self) -> None:
        processes = left_behind(self.data_dir)
        if processes:
            self._on_progress(f"stopping what a killed run left behind: {', '.join(processes)}")
        for process in processes.values():
            process.stop(LEFT_BEHIND_GRACE_S)
        free = shutil.disk_usage(self.data_dir).free
        if free < _MIN_FREE_DISK:
            self._on_progress(f"warning: only {free / _GIB:.1f} GiB of disk are free in {self.data_dir}")

    def _make_services(self) -> None:
        if self._given_amqp_url is None:
            prepare_server(self._on_progress)
            self._rabbitmq = RabbitMq(
                self.data_dir / "rabbitmq",
                log_folder=self.log_folder,
                ports=self._ports,
                state=self._state,
            )
        if self._given_mongo_url is None:
            prepare_mongod(self._on_progress)
            self._mongod = Mongod(
                self.data_dir / "mongo",
                log_file=self.log_folder / "mongod.log",
                port=self._ports.reserve("mongod"),
                state=self._state,
                cache_gb=self._cache_gb,
            )

    def _start_services(self) -> None:
        services = self._services()
        started = time.monotonic()
        for service in services:
            self._on_progress(f"starting {service.title} on port {service.port}")
            service.spawn()
        # The broker boots while the database, which is faster, is waited for.
        for service in reversed(services):
            service.wait_until_up()
            self._on_progress(f"{service.title} is up after {time.monotonic() - started:.1f} s")
        self._urls = StackUrls(
            amqp_url=self._given_amqp_url or self.rabbitmq.url, mongo_url=self._given_mongo_url or self.mongod.url
        )
        self._state.note_up(self._urls, [service.port for service in services])
