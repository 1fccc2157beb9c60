"""Dead letters in a real browser, with the services at work: from the group to the replay's outcome."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect
from pymongo import MongoClient

from jobtrail.deadletters.service import run_dead_letters
from jobtrail.models.dead_letters.dead_letter import DeadLetter, Fix, LetterFilter
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.causes import CauseRepository
from tests.browser.conftest import HOSTILE, OpenWindow, Worker, assert_shown_on_every_screen
from tests.deadletters.acts import discard_letters, start_replay
from tests.deadletters.conftest import update_body
from tests.support import WAIT_S, eventually
from tests.web.letters import NOW, letter, store_letters

MISSING = {
    "_id": "old",
    "queue": "jobtrail.replies",
    "first_seq": 1,
    "last_seq": 9,
    "handed_out": 9,
    "stored": 9,
    "duplicates": 0,
    "dead_lettered": 0,
}
"""What was taken from a queue, and is not found."""


def do(work: Callable[[Database], Any], settings: Settings) -> Any:
    """Do something with the database; Playwright's own event loop runs in this thread."""

    async def run() -> Any:
        async with Database(settings.require_mongo_url(), settings.database) as database:
            await database.ensure_indexes()
            return await work(database)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, run()).result()


@pytest.fixture
def letter_service(settings: Settings, worker: Worker) -> Iterator[None]:
    """The service of dead letters, in a thread; the queues that it needs are there."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run_dead_letters(settings, stop)))
    thread.start()
    yield
    loop.call_soon_threadsafe(stop.set)
    thread.join(WAIT_S)
    assert not thread.is_alive()
    loop.close()


class Mail:
    """The letters that these tests are about."""

    def __init__(self, settings: Settings, mongo_client: MongoClient[Any]) -> None:
        self.settings = settings
        self.stored = mongo_client[settings.database]

    def store(self, *letters: DeadLetter) -> list[str]:
        """Store letters; return their ids."""
        return [each.id for each in do(lambda database: store_letters(database, letters), self.settings)]

    def good(self, count: int, **fields: Any) -> list[str]:
        """Store letters that can be processed by now."""
        return self.store(*(letter(n, origin=self.settings.reply_stream, **fields) for n in range(1, count + 1)))

    def bad(self, count: int, **fields: Any) -> list[str]:
        """Store letters of another cause that can't."""
        told = {"reason": "missing_field", "error": "start is missing", "version": "2.0"} | fields
        return self.store(
            *(
                letter(n, origin=self.settings.reply_stream, body=update_body(f"job-{n}", HOSTILE, start=None), **told)
                for n in range(1, count + 1)
            )
        )

    def group(self, reason: str) -> str:
        """The address of a group."""
        found = self.stored.dead_letter_causes.find_one({"reason": reason})
        assert found is not None
        return f"/dead-letters/groups/{found['_id']}"

    def states(self) -> dict[str, int]:
        """Letters by state."""
        states = [each["state"] for each in self.stored.dead_letters.find()]
        return {state: states.count(state) for state in sorted(set(states))}


@pytest.fixture
def mail(settings: Settings, mongo_client: MongoClient[Any]) -> Mail:
    return Mail(settings, mongo_client)


def store_replay_of(mail: Mail, ids: list[str]) -> str:
    """Ask for a replay that takes a long time, 100 s for each letter but the first; return its id."""
    selection = LetterFilter(ids=ids)
    asked = {"who": "bob", "origin": "cli", "target": mail.settings.dead_letter_queue, "rate": 0.01, "staged": False}
    replay = do(lambda database: start_replay(database, selection, **asked), mail.settings)
    eventually(lambda: mail.stored.replays.find_one({"_id": replay.id})["sent"] == 1)
    return str(replay.id)


def note_fix(mail: Mail) -> None:
    """Note how the first group was mended."""
    group_id = mail.group("missing_field").rpartition("/")[2]
    fix = Fix(note="Deployed 2.1, which sends the time again.", who="ann", at=NOW)
    do(lambda database: CauseRepository(database).note(group_id, fix), mail.settings)


@pytest.mark.usefixtures("letter_service")
def test_every_page_shows_what_it_should_on_every_screen(visitor: OpenWindow, mail: Mail) -> None:
    mail.good(30)
    ids = mail.bad(12)
    [binary] = mail.store(letter(50, reason="not_json", error="no JSON", body=bytes(range(256)) * 3, job_id=None))
    slow = mail.store(*(letter(n, reason="expired", error="", job_id=None, origin="elsewhere") for n in range(60, 72)))
    note_fix(mail)
    do(lambda database: discard_letters(database, LetterFilter(ids=ids[-2:]), "test messages of ours"), mail.settings)
    mail.stored.tallies.insert_one(MISSING | {"hour": NOW.replace(minute=0, second=0) - timedelta(days=2)})
    window = visitor()
    page = window.visit(mail.group("missing_field"))
    page.get_by_role("button", name="Replay 10").click()
    expect(page.get_by_text("failed again; nothing more was sent")).to_be_visible()
    halted = page.url.removeprefix(window.address)
    page.goto(window.address + mail.group("too_large"))
    page.get_by_role("button", name="Replay 30").click()
    expect(page.get_by_text("30 of 30 sent")).to_be_visible()
    expect(page.locator("#state").get_by_text("done")).to_be_visible()
    done = page.url.removeprefix(window.address)
    page.goto(window.address + f"/dead-letters/{slow[0]}")
    page.get_by_label("Target queue").fill(mail.settings.dead_letter_queue)
    page.get_by_role("button", name="Replay it").click()
    expect(page.get_by_text("1 of 1 sent")).to_be_visible()
    waiting = store_replay_of(mail, slow[1:])
    pages = {
        "groups": ("/dead-letters", "A required field is missing"),
        "groups-all": ("/dead-letters?all=1", "The body is larger than"),
        "group": (mail.group("missing_field"), "start is missing"),
        "group-dry-run": (mail.group("missing_field") + "?dry_run=1", "would fail again"),
        "letters": ("/dead-letters/letters", ids[3]),
        "letter": (f"/dead-letters/{ids[3]}", "start is missing"),
        "letter-sent": (f"/dead-letters/{ids[0]}", "back as"),
        "letter-binary": (f"/dead-letters/{binary}", "00000010"),
        "replays": ("/dead-letters/replays", "the first dead letter failed again"),
        "replay-halted": (halted, "Halted after"),
        "replay-done": (done, "30 of 30 sent"),
        "replay-running": (f"/dead-letters/replays/{waiting}", "of 11 sent"),
        "held": (f"/dead-letters/held?id={slow[-1]}", "Another replay holds these dead letters"),
        "dry-run": (f"/dead-letters/dry-run?id={ids[2]}&id={binary}", "would fail again"),
        "archive": ("/dead-letters/archive", "test messages of ours"),
        "conservation": ("/dead-letters/conservation", "Every message is accounted for"),
        "conservation-missing": ("/dead-letters/conservation?window=3d", "9 messages are missing"),
        "job": ("/jobs/job-1", "replayed"),
    }
    assert_shown_on_every_screen(visitor, pages, "dead-letters-")
    without = visitor(java_script_enabled=False)
    for path, words in pages.values():
        expect(without.visit(path).get_by_text(words).first).to_be_visible()


@pytest.mark.usefixtures("letter_service")
def test_a_staged_replay_is_followed_to_its_end_without_a_reload(visitor: OpenWindow, mail: Mail) -> None:
    mail.good(40)
    page = visitor().visit("/dead-letters")
    page.get_by_role("link", name="The body is larger than").click()
    page.get_by_role("button", name="Dry run").click()
    expect(page.locator("#trial").get_by_text("would be processed")).to_be_visible()
    page.get_by_label("Maximum per second").fill("15")
    page.get_by_role("button", name="Replay 40").click()
    page.wait_for_url(re.compile(r"/dead-letters/replays/\w+$"))
    page.evaluate("window.stayed = true")
    seen = set()

    def note_progress() -> bool:
        seen.add(page.locator("#progress .sent b").inner_text())
        return page.locator("#state").get_by_text("done").is_visible()

    eventually(note_progress)
    expect(page.get_by_text("40 of 40 sent")).to_be_visible()
    expect(page.locator("#progress .share-keys")).to_have_text(re.compile(r"^\s*40 resolved\s*$"))
    assert len(seen) > 2, "it was not seen to get on"
    assert page.evaluate("window.stayed") is True
    assert mail.states() == {"resolved": 40}
    page.reload()
    page.go_back()
    expect(page.locator("#letters-title")).to_be_visible()
    expect(page.get_by_role("button", name="Replay")).to_have_count(0)
    assert mail.stored.replays.count_documents({}) == 1


@pytest.mark.usefixtures("letter_service")
def test_a_poisoned_group_halts_by_itself_and_an_edited_letter_goes_through(visitor: OpenWindow, mail: Mail) -> None:
    ids = mail.bad(12)
    page = visitor().visit(mail.group("missing_field"))
    page.get_by_role("button", name="Replay 12").click()
    expect(page.get_by_text("the first dead letter failed again")).to_be_visible()
    page.get_by_role("link", name="View those that failed again").click()
    page.get_by_role("link", name=ids[0]).click()
    expect(page.locator("#sendings").get_by_text("back as")).to_be_visible()

    page.goto(re.sub(r"/dead-letters/.*", f"/dead-letters/{ids[5]}", page.url))
    expect(page.get_by_text("Today it would fail again")).to_be_visible()
    field = page.locator("form", has=page.locator("input[name=field]"))
    field.get_by_label("Name").fill("start")
    field.get_by_label("Value").fill("2026-11-22T00:14:36-00:00")
    field.get_by_role("button", name="Set").click()
    expect(page.get_by_text("Today it would be processed")).to_be_visible()
    page.get_by_role("button", name="Replay it").click()
    expect(page.get_by_text("1 of 1 sent")).to_be_visible()
    expect(page.locator("#progress .share-keys")).to_have_text(re.compile(r"^\s*1 resolved\s*$"))
    assert mail.states() == {"failed_again": 1, "open": 11, "resolved": 1}


@pytest.mark.usefixtures("letter_service")
def test_letters_are_ticked_discarded_and_restored_and_the_bar_counts_along(visitor: OpenWindow, mail: Mail) -> None:
    mail.good(6)
    window = visitor()
    page = window.visit("/")
    page.keyboard.press("g")
    page.keyboard.press("l")
    page.wait_for_url(re.compile("/dead-letters$"))
    expect(page.locator("#letters-place")).to_contain_text("6")
    page.get_by_role("link", name="List", exact=True).click()
    for box in page.locator("input[name=id]").all()[:2]:
        box.check()
    page.get_by_text("Discard …").click()
    page.get_by_label("Why").fill("no use")
    page.get_by_role("button", name="Discard", exact=True).click()
    expect(page.get_by_text("2 dead letters discarded")).to_be_visible()
    expect(page.locator("#letters-place")).to_contain_text("4")
    page.get_by_role("link", name="Archive").click()
    page.locator("input[name=id]").first.check()
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("1 dead letter restored")).to_be_visible()
    assert mail.states() == {"discarded": 1, "open": 5}
    window.photograph("dead-letters-archive-restored-light")


def test_a_group_s_page_follows_what_is_captured_and_keeps_what_somebody_types(
    visitor: OpenWindow, mail: Mail, worker: Worker
) -> None:
    mail.good(3)
    page = visitor().visit(mail.group("too_large"))
    page.get_by_label("Why").fill("half a reas")
    page.evaluate("window.stayed = true")
    mail.store(letter(99, origin=mail.settings.reply_stream))
    expect(page.locator("#how-many")).to_have_text("4 of 4 open")
    expect(page.get_by_label("Why")).to_have_value("half a reas")
    assert page.evaluate("window.stayed") is True


def test_while_nobody_runs_a_replay_the_page_says_so_and_it_is_cancelled(visitor: OpenWindow, mail: Mail) -> None:
    mail.good(3)
    page = visitor().visit(mail.group("too_large"))
    page.get_by_role("button", name="Replay 3").click()
    expect(page.get_by_text("The dead-letter service does not seem to run")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Replay 3").click()
    expect(page.get_by_text("Another replay holds these dead letters")).to_be_visible()


def test_acts_can_be_done_without_javascript(visitor: OpenWindow, mail: Mail, worker: Worker) -> None:
    mail.good(3)
    page = visitor(java_script_enabled=False).visit(mail.group("too_large"))
    page.get_by_text("Add a note").click()
    page.get_by_role("textbox", name="How you fixed it").fill("Raised the limit.")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Raised the limit.").first).to_be_visible()
    page.get_by_label("Why").fill("no use")
    page.get_by_role("button", name="Discard 3").click()
    expect(page.get_by_text("3 dead letters discarded")).to_be_visible()
