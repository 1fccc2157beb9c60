"""`jobtrail up`: runs RabbitMQ, MongoDB, all services and the demo on this machine, and shows the jobs live."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr

import jobtrail
from jobtrail.broker.address import broker_address
from jobtrail.broker.queue_depth import QueueGauge
from jobtrail.cli.doctor.stream_probe import why_unreadable
from jobtrail.cli.doctor.streams import UNREADABLE_ADVICE
from jobtrail.cli.live.jobs import LiveReader
from jobtrail.cli.live.screen import LiveScreen
from jobtrail.cli.live.table import Surroundings
from jobtrail.cli.output.announcer import Announcer
from jobtrail.cli.output.console import make_console
from jobtrail.cli.services.stop_signals import StopSignals
from jobtrail.cli.services.up_settings import chosen_settings, pages_url
from jobtrail.models.settings import Settings, load_settings
from jobtrail.publisher.connection import open_channel
from jobtrail.runtime.tasks import cancel_and_wait
from jobtrail.stack import mongod
from jobtrail.stack.demo.crew import PYTHON_MODULE, crew, outside_world
from jobtrail.stack.errors import StackBusyError, StackError
from jobtrail.stack.private_stack import PrivateStack
from jobtrail.stack.state import StackUrls
from jobtrail.stack.supervisor import Program, Supervisor
from jobtrail.store.database import Database

_READY_TIMEOUT_S = 60.0
_REPORT_EVERY_S = 10.0
_DEMO_GRACE_S = 8.0
_SERVICES_GRACE_S = 20.0
_POLL_S = 0.1
_PACKAGES = str(Path(jobtrail.__path__[0]).parent)
"""The folder of this JobTrail, installed or not, so that its children run the same one."""


def up(
    demo: Annotated[bool, typer.Option("--demo", help="Also run the demo: a few workers on real files.")] = False,
) -> None:
    """Run a private RabbitMQ and MongoDB and all services, and show the jobs live until Ctrl-C.

    Where the URL of a broker or a database is set, that one is used. Data stays in JOBTRAIL_DATA_DIR for the next run.
    """
    UpRun(load_settings(), demo=demo, announcer=Announcer(make_console())).run()


class UpRun:
    """One run, from start to stop; services whose URLs the settings name are used and not started."""

    def __init__(self, settings: Settings, *, demo: bool, announcer: Announcer) -> None:
        self._settings = settings
        self._demo = demo
        self._announcer = announcer
        self._signals = StopSignals()
        self._data_dir = settings.data_dir.absolute()
        self._started_at = datetime.now(UTC)
        self._stack = PrivateStack(
            self._data_dir,
            amqp_url=settings.require_amqp_url() if settings.amqp_url else None,
            mongo_url=settings.require_mongo_url() if settings.mongo_url else None,
            on_progress=announcer.say,
        )
        self._pages = ""
        """Their address, once that is chosen."""
        self._supervisors: list[tuple[Supervisor, float]] = []
        """In the order of their start, with the seconds that their programs may take to end."""

    def run(self) -> None:
        """Run until Ctrl-C or SIGTERM, which is a clean end; after an error nothing is left running."""
        with self._signals.installed():
            try:
                with suppress(KeyboardInterrupt):
                    with self._signals.interrupting():
                        self._start()
                    asyncio.run(self._watch(self._stack.urls))
            finally:
                self._stop()

    def _start(self) -> None:
        began = time.monotonic()
        self._announcer.say(f"starting JobTrail; its data is in {_short(self._data_dir)}")
        try:
            with self._announcer.step("Starting RabbitMQ and MongoDB"):
                urls = self._stack.start()
        except StackBusyError as error:
            program = _program_name()
            raise StackBusyError(f"{error}; to look at it: `{program} jobs`, `{program} extractors`") from error
        self._check_given(urls)
        chosen = chosen_settings(self._settings, self._stack, demo=self._demo)
        self._stack.state.note_settings(chosen)
        self._start_programs(urls, chosen)
        self._pages = pages_url(self._settings, chosen)
        self._announcer.done(f"JobTrail is up after {time.monotonic() - began:.1f} s; look at it: {self._pages}")
        self._print_hints(chosen)

    def _start_programs(self, urls: StackUrls, chosen: Mapping[str, str]) -> None:
        """Start each program after those it depends on; the ones that nothing waits for come last."""
        folder = Path.cwd()
        environment = self._environment(urls, chosen)
        self._launch(outside_world(environment, folder, chosen), _DEMO_GRACE_S)
        with self._announcer.step("Starting the consumer and the heartbeat monitor"):
            receiving = self._launch(_services(environment, folder, consumer="consume", monitor="monitor"))
            for stream in self._settings.reply_streams:
                self._await_stream(urls, stream, receiving)
            self._await_queue(urls, self._settings.heartbeat_queue, receiving)
        others = {"reconciler": "dataset:get-status --watch", "deadletters": "deadletters capture", "web": "web"}
        if self._settings.forward_to is not None:
            others["forwarder"] = "forward"
        self._launch(_services(environment, folder, **others))
        if self._demo:
            workers = crew(environment, folder, chosen)
            self._announcer.say(f"starting the demo fleet: {', '.join(program.name for program in workers)}")
            self._launch(workers, _DEMO_GRACE_S)

    def _launch(self, programs: Sequence[Program], grace_s: float = _SERVICES_GRACE_S) -> Supervisor:
        supervisor = Supervisor(programs, log_folder=self._stack.log_folder, on_progress=self._announcer.say)
        self._supervisors.append((supervisor, grace_s))
        supervisor.start()
        return supervisor

    def _check_given(self, urls: StackUrls) -> None:
        """Fail now, not after waiting for the consumer, when a service that was given can't be reached."""
        if self._settings.amqp_url:
            with open_channel(urls.amqp_url, "jobtrail up"):
                pass
        if self._settings.mongo_url:
            asyncio.run(_ping(urls.mongo_url))

    def _environment(self, urls: StackUrls, chosen: Mapping[str, str]) -> dict[str, str]:
        return {
            **os.environ,
            "JOBTRAIL_AMQP_URL": urls.amqp_url,
            "JOBTRAIL_MONGO_URL": urls.mongo_url,
            "JOBTRAIL_DATA_DIR": str(self._data_dir),
            "JOBTRAIL_LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [_PACKAGES, os.environ.get("PYTHONPATH")])),
            **{f"JOBTRAIL_{name.upper()}": value for name, value in chosen.items()},
        }

    def _await_stream(self, urls: StackUrls, stream: str, services: Supervisor) -> None:
        """Wait until a stream exists and can be read: whatever is sent to it from then on will be stored."""
        began = reported = time.monotonic()
        while problem := asyncio.run(why_unreadable(urls.amqp_url, stream)):
            services.check()
            now = time.monotonic()
            if now - began > _READY_TIMEOUT_S:
                raise StackError(
                    f"{stream} can't be read after {_READY_TIMEOUT_S:.0f} s: {problem}; {UNREADABLE_ADVICE}; "
                    f"the logs are in {self._stack.log_folder}"
                )
            if now - reported > _REPORT_EVERY_S:
                reported = now
                self._announcer.say(f"still waiting for {stream}, after {now - began:.0f} s: {problem}")
            time.sleep(_POLL_S)

    def _await_queue(self, urls: StackUrls, queue: str, services: Supervisor) -> None:
        """Wait until a queue is declared: its reader is at work then, and nothing sent there is lost."""
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while asyncio.run(QueueGauge(SecretStr(urls.amqp_url)).read(queue)).waiting is None:
            services.check()
            if time.monotonic() > deadline:
                raise StackError(
                    f"{queue} has no reader after {_READY_TIMEOUT_S:.0f} s; the logs are in {self._stack.log_folder}"
                )
            time.sleep(_POLL_S)

    def _print_hints(self, chosen: Mapping[str, str]) -> None:
        program = _program_name()
        hints = {
            f"{program} jobs": "the jobs",
            f"{program} timeline JOB_ID": "one job, step by step",
            f"{program} extractors": "who is online",
            f"{program} datasets changes": "how the datasets changed",
            f"{program} deadletters groups": "messages that could not be processed, by error",
            f'eval "$({program} env)"': "connect other clients to this broker and database",
        }
        width = max(len(command) for command in hints)
        for command, meaning in hints.items():
            self._announcer.console.print(f"      {command:{width}}  {meaning}")
        if "dataset_cron" in chosen:
            self._announcer.console.print("      The demo checks its datasets every minute instead of every five.")
        if "smtp_url" in chosen:
            mails = _short(self._data_dir / "demo" / "mail")
            self._announcer.console.print(f"      Its mails to users are in {mails}.")
        self._announcer.console.print(f"      Logs are in {_short(self._stack.log_folder)}. Ctrl-C stops everything.")

    async def _watch(self, urls: StackUrls) -> None:
        around = Surroundings(
            program=_program_name(),
            services=f"{self._pages} · RabbitMQ {broker_address(urls.amqp_url)} · MongoDB {_address(urls.mongo_url)}",
            logs=_short(self._stack.log_folder),
            started_at=self._started_at,
        )
        async with Database(urls.mongo_url, self._settings.database) as database:
            reader = LiveReader(database, self._settings)
            await _first_of(LiveScreen(reader, around, self._announcer).show(), self._keep_alive())

    async def _keep_alive(self) -> None:
        """Restart whatever has ended, until Ctrl-C or SIGTERM."""
        while not self._signals.stopping:
            for name in self._stack.ended():
                service = self._stack.mongod if name == mongod.NAME else self._stack.rabbitmq
                self._announcer.say(f"{service.title} ended unexpectedly; restarting it")
                await asyncio.to_thread(service.start)
                self._announcer.say(f"{service.title} is up again")
            for supervisor, _grace_s in self._supervisors:
                supervisor.check()
            await asyncio.sleep(_POLL_S)

    def _stop(self) -> None:
        """Stop in the reverse order of the start, so that each program can finish with those it depends on."""
        if not self._supervisors:
            self._stack.stop(grace_s=0)  # does nothing, unless its own clean-up was interrupted
            if self._signals.stopping:
                self._announcer.done("stopped before everything was up")
            return
        self._announcer.say("stopping: workers, then our services, then RabbitMQ and MongoDB (Ctrl-C again to hurry)")
        for supervisor, grace_s in reversed(self._supervisors):
            supervisor.stop(grace_s, hurry=self._is_hurried)
        try:
            with self._signals.interrupting(after=1):
                self._stack.stop()
        except KeyboardInterrupt:
            self._stack.stop(grace_s=0)
        self._announcer.done(f"stopped; the data stays in {_short(self._data_dir)}")

    def _is_hurried(self) -> bool:
        return self._signals.hurrying


def _program_name() -> str:
    """Return how `jobtrail` is called here, so that hints can be copied."""
    called = Path(sys.argv[0])
    if called.name != "jobtrail":
        return "jobtrail"
    found = shutil.which("jobtrail")
    return "jobtrail" if found and Path(found).resolve() == called.resolve() else str(called)


def _services(environment: Mapping[str, str], folder: Path, **commands: str) -> list[Program]:
    """List our own services: their commands, by name."""
    return [
        Program(
            name=name,
            command=[*PYTHON_MODULE, "jobtrail.cli.main", *command.split()],
            environment=environment,
            folder=folder,
        )
        for name, command in commands.items()
    ]


async def _first_of(*coroutines: Coroutine[None, None, None]) -> None:
    """Wait until one coroutine ends, and cancel the others."""
    tasks = [asyncio.create_task(each) for each in coroutines]
    done, unfinished = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.gather(*(cancel_and_wait(task) for task in unfinished))
    for task in done:
        task.result()


async def _ping(mongo_url: str) -> None:
    async with Database(mongo_url, "admin") as database:
        await database.ping()


def _address(url: str) -> str:
    """Return a URL's host and port, without the password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _short(path: Path) -> str:
    """Write a path as it is typed from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
