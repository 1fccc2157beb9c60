"""A stage for the browser: the services at work in a thread, and pages that note what goes wrong."""

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from jobtrail.consumer.service import run_consumer
from jobtrail.heartbeat.monitor import run_monitor
from jobtrail.models.settings import Settings
from jobtrail.models.token import Role
from jobtrail.models.topology import HEARTBEAT_EXCHANGE
from jobtrail.store.access.tokens import TokenRepository
from jobtrail.store.database import Database
from jobtrail.web.service import run_web
from tests.browser.chromium import EXECUTABLE, PACKAGE, launch
from tests.conftest import REPOSITORY
from tests.support import WAIT_S, eventually

SCREENSHOTS = REPOSITORY / ".screenshots"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
HOSTILE = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'> \u202egnp.exe"
"""Text that would be run where it is not escaped."""


@dataclass(slots=True)
class Visitor:
    """A browser's window, and what went wrong in it."""

    page: Page
    address: str
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    """Addresses outside this machine that a page asked for."""

    def __post_init__(self) -> None:
        self.page.set_default_timeout(WAIT_S * 1000)
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if urlsplit(url).hostname not in ("127.0.0.1", None):
            self.strangers.append(url)

    def visit(self, path: str) -> Page:
        """Open a page."""
        answer = self.page.goto(self.address + path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"
        return self.page

    def photograph(self, name: str) -> None:
        """Keep a picture for people to look at, where `SCREENSHOTS=1` asks for them."""
        if os.environ.get("SCREENSHOTS"):
            SCREENSHOTS.mkdir(exist_ok=True)
            self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def assert_all_was_well(self) -> None:
        """Nothing in the console, nothing asked of anybody else, nothing wider than the window."""
        assert self.errors == []
        assert self.strangers == []
        wide: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{self.page.url} is {wide} px wider than the window"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for these tests; not for longer, as no other event loop can run in this thread meanwhile."""
    expect.set_options(timeout=WAIT_S * 1000)
    with sync_playwright() as playwright, launch(playwright) as browser:
        yield browser


@contextmanager
def services(settings: Settings) -> Iterator[str]:
    """Run consumer, monitor and web in a thread; yield the web's address."""
    loop = asyncio.new_event_loop()
    stop, ready, port = asyncio.Event(), threading.Event(), [0]

    def note(number: int) -> None:
        port[0] = number
        ready.set()

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run_consumer(settings, stop))
            tasks.create_task(run_monitor(settings, stop))
            tasks.create_task(run_web(settings, stop, note))

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert ready.wait(WAIT_S), "the web does not start"
        yield f"http://127.0.0.1:{port[0]}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(WAIT_S)
        assert not thread.is_alive()
        loop.close()


@pytest.fixture
def operator_token(settings: Settings) -> str:
    """A token that opens everything."""

    async def make() -> str:
        async with Database(settings.require_mongo_url(), settings.database, timeout_s=WAIT_S) as database:
            tokens = TokenRepository(database)
            _, secret = await tokens.create("ops", role=Role.OPERATOR, user_id="ada", now=datetime.now(UTC))
            return secret

    with ThreadPoolExecutor(1) as pool:  # Playwright's own event loop runs in this thread
        return pool.submit(asyncio.run, make()).result()


@pytest.fixture
def address(settings: Settings, request: pytest.FixtureRequest) -> Iterator[str]:
    """The web's address; parametrise it indirectly with other settings."""
    changed: dict[str, Any] = getattr(request, "param", {})
    if changed:
        request.getfixturevalue("operator_token")  # without one the web would not start
    with services(settings.model_copy(update=changed)) as url:
        yield url


OpenWindow = Callable[..., Visitor]


def assert_shown_on_every_screen(visitor: OpenWindow, pages: Mapping[str, tuple[str, str]], prefix: str = "") -> None:
    """Open pages, by name with path and words, on every kind of screen: each shows its words, and no text is run.

    Args:
        visitor: Opens a window.
        pages: The pages.
        prefix: What the pictures' names begin with.
    """
    looks = {
        "light": visitor(viewport=DESK, color_scheme="light"),
        "dark": visitor(viewport=DESK, color_scheme="dark"),
        "phone": visitor(viewport=PHONE, color_scheme="light", has_touch=True, is_mobile=True),
    }
    for name, (path, words) in pages.items():
        for look, window in looks.items():
            page = window.visit(path)
            expect(page.get_by_text(words).first).to_be_visible()
            window.photograph(f"{prefix}{name}-{look}")
            window.assert_all_was_well()
            assert page.evaluate("window.pwned") is None


@pytest.fixture
def visitor(chromium: Browser, address: str) -> Iterator[Callable[..., Visitor]]:
    """Open windows; each must end well."""
    opened: list[tuple[BrowserContext, Visitor]] = []

    def open_window(**how: Any) -> Visitor:
        context = chromium.new_context(**({"viewport": DESK} | how))
        opened.append((context, Visitor(page=context.new_page(), address=address)))
        return opened[-1][1]

    yield open_window
    for context, window in opened:
        window.assert_all_was_well()
        context.close()


class Worker:
    """Speaks to the services as pyClowder does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection = pika.BlockingConnection(pika.URLParameters(settings.require_amqp_url()))
        for queue in (settings.reply_stream, settings.heartbeat_queue):
            eventually(lambda queue=queue: self._exists(queue))
        self._channel = self._connection.channel()

    def _exists(self, queue: str) -> bool:
        channel = self._connection.channel()
        with suppress(ChannelClosedByBroker):
            channel.queue_declare(queue, passive=True)
            channel.close()
            return True
        return False

    def declare(self, queue: str) -> str:
        """Declare a queue to take jobs from; nobody takes any."""
        self._channel.queue_declare(queue)
        return queue

    def say(self, job_id: str | None, kind: str, message: str, *, resource: str = "file-1", **fields: str) -> None:
        """Send one update."""
        update = {
            "file_id": resource,
            "extractor_id": "ncsa.wordcount",
            "job_id": job_id,
            "status": f"StatusMessage.{kind}: {message}",
            "start": "2026-11-22T00:14:36-00:00",
            "message_type": f"StatusMessage.{kind}",
            "message": message,
        }
        self._channel.basic_publish("", self._settings.reply_stream, json.dumps(update | fields).encode())

    def beat(self) -> None:
        """Send one heartbeat."""
        info = {"name": "ncsa.wordcount", "version": "2.0", "description": "Counts words.", "process": {}}
        beat = {"id": "instance-1", "queue": "ncsa.wordcount", "owner": None, "extractor_info": info}
        self._channel.basic_publish(HEARTBEAT_EXCHANGE, "", json.dumps(beat).encode())

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def worker(settings: Settings, address: str) -> Iterator[Worker]:
    """A worker; the services' queues exist."""
    worker = Worker(settings)
    yield worker
    worker.close()


@pytest.fixture(scope="session", autouse=True)
def _chromium_is_there() -> None:
    if not EXECUTABLE.exists():
        pytest.fail(f"{EXECUTABLE} is missing: install the package {PACKAGE}, or pass --ignore tests/browser")
