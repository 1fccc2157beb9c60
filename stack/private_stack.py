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

    Use it as a context manager, or call `start` and `stop`. Data stays in the folder for the next start. The services
    end with this process, however it ends. MongoDB's cache takes `cache_gb` GiB of memory.
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
        """How to reach the services."""
        if self._urls is None:
            raise StackError("the private services are not up")
        return self._urls

    @property
    def rabbitmq(self) -> RabbitMq:
        """The private broker."""
        if self._rabbitmq is None:
            raise StackError("there is no private RabbitMQ: it was not started, or JOBTRAIL_AMQP_URL is set")
        return self._rabbitmq

    @property
    def mongod(self) -> Mongod:
        """The private database."""
        if self._mongod is None:
            raise StackError("there is no private MongoDB: it was not started, or JOBTRAIL_MONGO_URL is set")
        return self._mongod

    def reserve_port(self, name: str, usual: int = 0) -> int:
        """Reserve a port for a process of this stack until `stop`: the usual one, or another where that is taken."""
        return self._ports.reserve(name, usual)

    @property
    def state(self) -> StackState:
        """Where the stack's processes are recorded, so that the next start cleans up after a crash."""
        return self._state

    @property
    def log_folder(self) -> Path:
        """Where the services' logs are."""
        return self.data_dir / "logs"

    def start(self) -> StackUrls:
        """Start the services and wait until they are up.

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
            raise SettingError(f"JOBTRAIL_DATA_DIR ({self.data_dir}) must be a writable folder: {error}") from error
        try:
            self._clean_up()
            self._make_services()
            self._start_services()
        except BaseException:
            self.stop()
            raise
        return self.urls

    def ended(self) -> list[str]:
        """List services that ended although the stack was not stopped."""
        return [service.name for service in self._services() if not service.is_running]

    def stop(self, *, grace_s: float | None = None) -> None:
        """Stop both services; kill them after `grace_s` seconds, by default their usual time. Safe to call twice."""
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
        # The database is faster: the broker boots while we wait for it.
        for service in reversed(services):
            service.wait_until_up()
            self._on_progress(f"{service.title} is up after {time.monotonic() - started:.1f} s")
        self._urls = StackUrls(
            amqp_url=self._given_amqp_url or self.rabbitmq.url, mongo_url=self._given_mongo_url or self.mongod.url
        )
        self._state.note_up(self._urls, [service.port for service in services])
