"""`live.js` in a real browser, on a page of which the test decides what it shows and when it has changed."""

import asyncio
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from playwright.sync_api import Browser, Page, expect

from jobtrail.stack.ports import free_port
from jobtrail.web.app import STATIC
from jobtrail.web.live.page_notifier import PageNotifier
from jobtrail.web.live.sse import EventStream
from tests.support import WAIT_S, eventually

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'"
FRAME = """<!doctype html><title>{title}</title><script type="module" src="/static/live.js"></script>
<form role="search"><input id="find" aria-label="Search"></form><p id="live-state" role="status"></p>
<main id="main" data-live="/live">{main}</main>
<dialog id="keys"><p>All keys</p><form method="dialog"><button>Close</button></form></dialog>"""


class Stage:
    """A server of one page."""

    def __init__(self) -> None:
        self.main = ""
        self.title = "Stage"
        self.is_away = False
        self.is_logged_out = False
        self.loads = 0
        self.posts: list[str] = []
        self.notifiers: set[PageNotifier] = set()
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._server = uvicorn.Server(uvicorn.Config(self._app(), port=self.port, log_config=None))

    def change(self, main: str, *, times: int = 1) -> None:
        """Show something else, and tell the page."""
        self.main = main
        for _ in range(times):
            self._loop.call_soon_threadsafe(self._tell)

    @contextmanager
    def open(self) -> Iterator[None]:
        thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._server.serve()))
        thread.start()
        try:
            eventually(lambda: self._server.started)
            yield
        finally:
            self._loop.call_soon_threadsafe(self.end_streams)
            self._server.should_exit = True
            thread.join(WAIT_S)
            self._loop.close()

    def end_streams(self) -> None:
        for notifier in self.notifiers:
            notifier.end()

    def _tell(self) -> None:
        for notifier in self.notifiers:
            notifier.notify(None)

    @contextmanager
    def _telling(self) -> Iterator[PageNotifier]:
        notifier = PageNotifier(["all"])
        self.notifiers.add(notifier)
        yield notifier
        self.notifiers.discard(notifier)

    def _app(self) -> FastAPI:
        app = FastAPI()
        app.mount("/static", StaticFiles(directory=STATIC))

        @app.get("/live")
        async def live() -> Response:
            async def is_welcome() -> bool:
                return True

            return Response(status_code=503) if self.is_away else EventStream(self._telling(), is_welcome)

        @app.post("/{path:path}")
        async def post(path: str) -> Response:
            self.posts.append(path)
            return RedirectResponse("/", 303)

        @app.get("/{path:path}")
        async def page(request: Request, path: str) -> Response:
            if self.is_logged_out and path != "login":
                return RedirectResponse("/login", 303)
            self.loads += 1
            html = FRAME.format(title=self.title, main=self.main)
            return HTMLResponse(html, headers={"Content-Security-Policy": POLICY})

        return app


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    with stage.open():
        yield stage


@pytest.fixture
def errors() -> list[str]:
    """What the page's script complained of."""
    return []


@pytest.fixture
def page(chromium: Browser, stage: Stage, errors: list[str]) -> Iterator[Page]:
    """A window that closes before the stage does."""
    del stage
    page = chromium.new_page()
    page.set_default_timeout(WAIT_S * 1000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    page.close()
    assert not [error for error in errors if "503" not in error]


def visit(page: Page, stage: Stage, main: str) -> None:
    """Open the page, and wait until it hears of changes and has loaded itself once more."""
    stage.main = main
    page.goto(f"http://127.0.0.1:{stage.port}/")
    eventually(lambda: len(stage.notifiers) == 1 and stage.loads >= 2)
    page.evaluate("window.stayed = true")


def part(part_id: str, inside: str) -> str:
    return f'<section id="{part_id}" data-part>{inside}</section>'


def links(names: Sequence[str]) -> str:
    return part("rows", "".join(f'<p><a data-row href="/jobs/{name}">{name}</a></p>' for name in names))


def test_only_what_differs_is_replaced_and_what_somebody_did_stays(page: Page, stage: Stage) -> None:
    log = '<details id="log"><summary>Log</summary>{}</details>'
    visit(page, stage, part("same", "<b>same</b>") + part("log-part", log.format("one")) + links(["j-1", "j-2"]))
    page.evaluate("document.querySelector('#same b').mark = 1")
    page.get_by_text("Log").click()
    page.get_by_role("link", name="j-2").focus()
    stage.title = "Now another"
    script = "<script>window.pwned = 1</script>"
    stage.change(
        part("same", "<b>same</b>") + part("log-part", log.format("two" + script)) + links(["j-0", "j-1", "j-2", "j-3"])
    )
    expect(page.get_by_text("two")).to_be_visible()
    expect(page.get_by_role("link", name="j-2")).to_be_focused()
    expect(page).to_have_title("Now another")
    assert page.evaluate("[window.stayed, document.querySelector('#same b').mark, window.pwned]") == [True, 1, None]


def test_rows_that_stay_the_same_stay_where_they_are_and_no_button_comes_to_do_something_else(
    page: Page, stage: Stage
) -> None:
    def table(*rows: str, note: str) -> str:
        form = '<form action="/act"><input type="hidden" name="id" value="{0}"><button>Go {0}</button></form>'
        body = "".join(f"<tr><td>{row}</td><td>{form.format(row)}</td></tr>" for row in rows)
        return part("rows", f'<p class="{note}" title="{note}">{note}</p><table><tbody>{body}</tbody></table>')

    visit(page, stage, table("a", "b", "c", note="old"))
    page.evaluate("for (const each of document.querySelectorAll('#rows *')) each.mark = each.textContent")

    def marks() -> list[list[object]]:
        script = "[...document.querySelectorAll('#rows *')].map((e) => [e.nodeName, e.textContent, e.mark ?? null])"
        return [each for each in page.evaluate(script) if each[0] in ("P", "TR", "BUTTON")]

    stage.change(table("a", "x", "c", "d", note="new"))
    expect(page.get_by_text("Go d")).to_be_visible()
    shown = {text: mark for _name, text, mark in marks()}
    assert marks()[0] == ["P", "new", "old"], "an element that changed, and is the same one"
    assert page.locator("p.new").get_attribute("title") == "new"
    assert (shown["Go a"], shown["Go c"]) == ("Go a", "Go c"), "rows before and behind stay"
    assert (shown["Go x"], shown["Go d"]) == (None, None), "a button of its own"
    stage.change(table("c", "d", note="new"))
    expect(page.get_by_text("Go a")).to_have_count(0)
    assert [mark for name, text, mark in marks() if text == "Go c"] == ["Go c"]
    for rows in ("xcd", "xcyd", "xcydz", "dc", "", "ab", "zab"):
        stage.change(table(*rows, note="new"))
        expect(page.locator("#rows td:first-child")).to_have_text(list(rows))
    stage.change(part("rows", "<p>nothing is left</p>"))
    expect(page.locator("#rows")).to_have_text("nothing is left")
    assert page.locator("table, p[class], p[title]").count() == 0


def test_a_form_in_use_and_marked_text_are_left_alone_until_they_are_not(page: Page, stage: Stage) -> None:
    form = '<form action="/act"><input aria-label="Name" value="{}"></form>'
    visit(page, stage, part("form", form.format("old")) + part("text", "<i>old words</i>") + part("seen", "1"))
    page.get_by_label("Name").focus()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#text'))")
    stage.change(part("form", form.format("new")) + part("text", "<i>new words</i>") + part("seen", "2"))
    expect(page.locator("#seen")).to_have_text("2")
    expect(page.get_by_label("Name")).to_have_value("old")
    expect(page.locator("#text")).to_have_text("old words")
    page.evaluate("getSelection().removeAllRanges(); document.activeElement.blur()")
    expect(page.get_by_label("Name")).to_have_value("new")
    expect(page.locator("#text")).to_have_text("new words")


def test_many_changes_make_few_loads_and_the_last_one_is_shown(page: Page, stage: Stage) -> None:
    visit(page, stage, part("count", "0"))
    before = stage.loads
    for number in range(1, 201):
        stage.change(part("count", str(number)))
    expect(page.locator("#count")).to_have_text("200")
    assert stage.loads - before < 10


def test_without_the_server_the_page_says_so_and_comes_back_by_itself(page: Page, stage: Stage) -> None:
    visit(page, stage, part("count", "1"))
    stage.is_away = True
    stage.main = part("count", "2")
    stage.end_streams()
    expect(page.get_by_role("status")).to_have_text("Offline, reconnecting …")
    stage.is_away = False
    stage.main = part("count", "3")
    expect(page.get_by_role("status")).to_have_text("")
    expect(page.locator("#count")).to_have_text("3")
    assert page.evaluate("window.stayed")


def test_a_page_that_nobody_sees_asks_for_nothing_and_catches_up_when_it_is_seen(page: Page, stage: Stage) -> None:
    visit(page, stage, part("count", "1"))
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => window.unseen, configurable: true})")
    page.evaluate("window.unseen = true; document.dispatchEvent(new Event('visibilitychange'))")
    eventually(lambda: not stage.notifiers)
    stage.main = part("count", "2")
    expect(page.locator("#count")).to_have_text("1")
    page.evaluate("window.unseen = false; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#count")).to_have_text("2")


def test_whoever_is_logged_out_meanwhile_comes_to_the_login(page: Page, stage: Stage) -> None:
    visit(page, stage, part("count", "1"))
    stage.is_logged_out = True
    stage.change(part("count", "2"))
    expect(page).to_have_url(re.compile("/login$"))


def test_what_goes_on_ticks(page: Page, stage: Stage) -> None:
    visit(page, stage, part("took", '<time data-since datetime="2020-01-01T00:00:00Z">long</time>'))
    expect(page.locator("time")).to_have_text(re.compile(r"^\d{4,} d( \d+ h)?$"))
    page.evaluate("document.querySelector('time').dateTime = new Date(Date.now() - 61000).toISOString()")
    expect(page.locator("time")).to_have_text(re.compile(r"^1 min \d+ s$"))


def test_keys_search_step_open_go_and_help_but_not_while_somebody_types(page: Page, stage: Stage) -> None:
    visit(page, stage, links(["j-1", "j-2", "j-3"]))
    for key, name in (("j", "j-1"), ("j", "j-2"), ("j", "j-3"), ("j", "j-3"), ("k", "j-2")):
        page.keyboard.press(key)
        expect(page.get_by_role("link", name=name)).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("jk?ge/")
    expect(page.get_by_label("Search")).to_have_value("jk?ge/")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_text("All keys")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("e")  # not behind an open dialog
    page.keyboard.press("Escape")
    expect(page.get_by_text("All keys")).to_be_hidden()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/jobs/j-1$"))
    page.keyboard.press("g")
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile("/jobs$"))


def test_keys_go_on_from_the_row_that_the_address_names(page: Page, stage: Stage) -> None:
    rows = "".join(f'<p id="x:a {name}"><a data-row href="/{name}">{name}</a></p>' for name in ("j-1", "j-2", "j-3"))
    visit(page, stage, rows)
    page.goto(f"{page.url}#x:a%20j-2")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="j-3")).to_be_focused()


def test_a_change_that_is_asked_about_first_is_made_only_after_a_yes(page: Page, stage: Stage) -> None:
    visit(page, stage, '<form method="post" action="/cancel" data-confirm="Really?"><button>Cancel</button></form>')
    questions: list[str] = []
    page.once("dialog", lambda dialog: (questions.append(dialog.message), dialog.dismiss()))
    page.get_by_role("button", name="Cancel").click()
    assert (questions, stage.posts) == (["Really?"], [])
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    eventually(lambda: stage.posts == ["cancel"])
