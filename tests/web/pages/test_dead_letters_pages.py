"""The pages of dead letters: what they show, where their forms lead, and that no letter is sent twice by them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pymongo import MongoClient
from pymongo.database import Database as Trail

from jobtrail.deadletters.accounting import Audit
from jobtrail.models.dead_letters.accounting import Balance, HourlyCount
from jobtrail.models.dead_letters.dead_letter import LetterFilter, LetterState
from jobtrail.models.dead_letters.replay import Replay, ReplayState
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.replays import ReplayRepository
from jobtrail.web.pages.dead_letters.accounting import ledgers
from jobtrail.web.pages.dead_letters.list import ROWS_PER_PAGE
from jobtrail.web.pages.dead_letters.replays import stages
from tests.deadletters.conftest import update_body
from tests.web.conftest import Asking, Tokens
from tests.web.letters import NOW, letter, play, store_letters, store_replay
from tests.web.pages.seen import Element, seen
from tests.web.pages.trail import HOSTILE, as_shown, succeed

GROUPS, LETTERS, REPLAYS = "/dead-letters", "/dead-letters/letters", "/dead-letters/replays"


@pytest.fixture
def web(asking: Asking) -> httpx.AsyncClient:
    return asking()


@pytest.fixture
def trail(mongo_client: MongoClient[Any], settings: Settings) -> Trail[Any]:
    return mongo_client[settings.database]


@pytest.fixture
async def ids(database: Database) -> list[str]:
    """Five letters that can be processed by now, and one that can't."""
    made = [letter(n) for n in range(1, 6)]
    poison = letter(6, reason="missing_field", error="start is missing", body=update_body("job-6", start=None))
    return [each.id for each in await store_letters(database, [*made, poison])]


def group_page(trail: Trail[Any], reason: str = "too_large") -> str:
    """The address of a group."""
    return f"{GROUPS}/groups/{trail['dead_letter_causes'].find_one({'reason': reason})['_id']}"


async def submit(web: httpx.AsyncClient, page: Element, action: str, **typed: Any) -> str:
    """Send a form of a page, and return where it leads."""
    fields = page.form(action) | typed
    answer = await web.post(action, data=fields)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


async def test_groups_are_told_in_words_with_what_helped_last_time(
    web: httpx.AsyncClient, ids: list[str], trail: Trail[Any]
) -> None:
    page = seen(await web.get(GROUPS))
    [missing, large] = sorted(
        page.one(id="groups").all("li"), key=lambda each: "1024" in each.text or "<n>" in each.text
    )
    assert missing.text.startswith("1 of 1 A required field is missing, null or blank. start is missing")
    assert large.text.startswith("5 of 5 The body is larger than JOBTRAIL_MAX_BODY_BYTES allows.")
    assert "from replies by ncsa.test" in large.text
    assert large.one("svg", of="spark").one("title").text == "5 dead letters captured in the last 48 hours"
    assert page["data-live"] == "/live?topic=letters"

    path = group_page(trail)
    here = seen(await web.get(path))
    back = await submit(web, here, f"{path}/note", note="Raised the limit.")
    assert "Note saved" in seen(await web.get(back)).text
    assert "Fix Raised the limit." in seen(await web.get(GROUPS)).text
    back = await submit(web, here, f"{path}/note", note=" ")
    assert "Note removed" in seen(await web.get(back)).text


async def test_the_bar_leads_operators_to_what_is_to_be_settled(
    web: httpx.AsyncClient, ids: list[str], asking: Asking, tokens: Tokens
) -> None:
    assert re.search(r'<a id="letters-place".*>Dead letters <span class="amount">6<', (await web.get("/jobs")).text)
    viewer = asking(await tokens.make("ann", user="ann"), web_auth="tokens")
    assert "letters-place" not in (await viewer.get("/jobs")).text
    for path in (GROUPS, LETTERS, REPLAYS, f"{GROUPS}/archive", f"{GROUPS}/conservation", f"{GROUPS}/{ids[0]}"):
        assert (await viewer.get(path)).status_code == 403, path
    assert (await viewer.post(f"{GROUPS}/replay", data={"which": "all"})).status_code == 403


async def test_pages_without_anything_say_what_to_do_next(web: httpx.AsyncClient, settings: Settings) -> None:
    for path, words in (
        (GROUPS, "No open dead letters"),
        (f"{GROUPS}?all=1", settings.dead_letter_queue),
        (LETTERS, "can be imported"),
        (f"{LETTERS}?state=open", "No dead letter matches"),
        (REPLAYS, "No replays yet"),
        (f"{GROUPS}/archive", "Nothing was discarded"),
        (f"{GROUPS}/conservation", "No messages"),
    ):
        assert words in seen(await web.get(path)).text, path
    for path in (f"{GROUPS}/groups/none", f"{REPLAYS}/none", f"{GROUPS}/none"):
        assert (await web.get(path)).status_code == 404


async def test_a_dry_run_is_shown_on_the_page_of_the_group(
    web: httpx.AsyncClient, ids: list[str], trail: Trail[Any]
) -> None:
    good = seen(await web.get(f"{group_page(trail)}?dry_run=1&to=elsewhere"))
    assert "5 would be processed" in good.one(id="trial").text
    assert "5 to elsewhere. Nothing was changed." in good.one(id="trial").text
    assert "data-live" not in good.attributes  # it is not made anew with each change
    bad = seen(await web.get(f"{group_page(trail, 'missing_field')}?dry_run=1"))
    assert "1 would fail again 1 missing_field: start is missing" in bad.one(id="trial").text


async def test_a_group_is_replayed_and_a_second_press_tells_who_holds_its_letters(
    web: httpx.AsyncClient, ids: list[str], trail: Trail[Any], database: Database
) -> None:
    page = seen(await web.get(group_page(trail)))
    watched = await submit(web, page, f"{GROUPS}/replay", rate="100", how="staged")
    assert watched.startswith(f"{REPLAYS}/")
    held = await submit(web, page, f"{GROUPS}/replay", how="staged")
    assert trail["replays"].count_documents({}) == 1
    told = seen(await web.get(held))
    assert "Another replay holds these dead letters" in told.text
    assert "local requested replay" in told.text
    assert told.link("Watch that replay") == watched
    assert told.link("Back to the dead letters") == group_page(trail)
    # Pressed once more, on any page, by anybody: the same.
    other = seen(await web.get(f"{GROUPS}/{ids[2]}"))
    assert (await submit(web, other, f"{GROUPS}/replay")).startswith(f"{GROUPS}/held?id=")
    assert (await submit(web, other, f"{GROUPS}/discard", why="no use")).startswith(f"{GROUPS}/held?id=")

    await ReplayRepository(database).tell(watched.rpartition("/")[2], ReplayState.DONE)
    assert "These dead letters are no longer held" in seen(await web.get(held)).text


async def test_after_a_replay_a_second_press_sends_nothing(
    web: httpx.AsyncClient, ids: list[str], trail: Trail[Any], database: Database
) -> None:
    page = seen(await web.get(group_page(trail)))
    await submit(web, page, f"{GROUPS}/replay", how="at-once")
    replay = await ReplayRepository(database).get(trail["replays"].find_one()["_id"])
    assert (replay.staged, replay.total) == (False, 5)
    await play(database, replay, [LetterState.RESOLVED] * 5)
    await ReplayRepository(database).tell(replay.id, ReplayState.DONE)
    back = await submit(web, page, f"{GROUPS}/replay")
    assert "Nothing was sent" in seen(await web.get(back)).text
    assert trail["replays"].count_documents({}) == 1


async def test_letters_are_filtered_and_those_that_are_ticked_judged_replayed_and_discarded(
    web: httpx.AsyncClient, ids: list[str], trail: Trail[Any]
) -> None:
    page = seen(await web.get(LETTERS))
    assert [box["value"] for box in page.one(id="letters").all("input", name="id")] == ids[::-1]
    filtered = seen(await web.get(LETTERS, params={"reason": "missing_field", "state": ["open", "unknown"]}))
    assert [box["value"] for box in filtered.one(id="letters").all("input")] == [ids[5]]
    assert [chip["aria-label"] for chip in filtered.all("a", of="chip")] == [
        "Remove: reason missing_field",
        "Remove: state open",
        "Remove: state unknown",
    ]
    wrong = seen(await web.get(LETTERS, params={"since": "yesterday", "state": "asleep", "kind": "x"}))
    assert "is not an age (30m" in wrong.text
    assert "Input should be" in wrong.text

    form = page.form(f"{GROUPS}/dry-run") | {"which": "ticked", "how": "staged"}
    answer = await web.post(f"{GROUPS}/dry-run", data={**form, "id": ids[:2]})
    assert answer.headers["Location"] == f"{GROUPS}/dry-run?id={ids[0]}&id={ids[1]}"
    trial = seen(await web.get(answer.headers["Location"]))
    assert "2 would be processed" in trial.text
    assert (await submit(web, trial, f"{GROUPS}/replay", id=ids[:2])).startswith(REPLAYS)
    answer = await web.post(f"{GROUPS}/discard", data={**form, "id": ids[3:5], "why": "no use"})
    assert "2 dead letters discarded" in seen(await web.get(answer.headers["Location"])).text
    nothing = await web.post(f"{GROUPS}/replay", data=form)
    assert (nothing.status_code, "no dead letter is ticked" in nothing.text) == (400, True)


async def test_an_act_on_all_that_match_passes_over_others(
    web: httpx.AsyncClient, ids: list[str], trail: Trail[Any]
) -> None:
    page = seen(await web.get(LETTERS, params={"reason": "missing_field"}))
    answer = await web.post(
        f"{GROUPS}/discard",
        data=page.form(f"{GROUPS}/dry-run") | {"which": "all", "why": "no use", "id": ids[0]},
    )
    assert "1 dead letter discarded" in seen(await web.get(answer.headers["Location"])).text
    assert trail["dead_letters"].find_one({"state": "discarded"})["reason"] == "missing_field"
    # With a filter of states "all" would be others than are shown.
    assert 'value="all"' not in (await web.get(LETTERS, params={"state": "unknown"})).text


async def test_the_archive_shows_why_letters_were_discarded_and_gives_them_back(
    web: httpx.AsyncClient, ids: list[str], trail: Trail[Any]
) -> None:
    page = seen(await web.get(f"{GROUPS}/{ids[0]}"))
    back = await submit(web, page, f"{GROUPS}/discard", why="a test of ours")
    discarded = seen(await web.get(back))
    assert "a test of ours" in discarded.one(id="standing").text
    archive = seen(await web.get(f"{GROUPS}/archive"))
    assert "Discarded: a test of ours" in archive.text
    back = await submit(web, archive, f"{GROUPS}/restore", id=ids[0])
    assert "1 dead letter restored" in seen(await web.get(back)).text
    await submit(web, page, f"{GROUPS}/discard", why="again")
    back = await submit(web, seen(await web.get(f"{GROUPS}/{ids[0]}")), f"{GROUPS}/restore")
    assert back.startswith(f"{GROUPS}/{ids[0]}?told=restored")
    acts = [each["act"] for each in trail["audit"].find().sort("at")]
    assert acts == ["letters.discard", "letters.restore"] * 2


async def test_a_letter_shows_its_bytes_what_they_mean_and_where_it_is_from(
    web: httpx.AsyncClient, database: Database, ids: list[str]
) -> None:
    await succeed(database, "job-6", ago_s=60)
    page = seen(await web.get(f"{GROUPS}/{ids[5]}"))
    assert "Today it would fail again missing_field start is missing" in page.one(id="today").text
    decoded, raw = page.all("pre")
    assert '"job_id": "job-6", ' in decoded.text
    assert raw.text.startswith('{"file_id": "file-1"')
    assert "header x-number 6" in page.text
    assert page.one(id="from").link("job-6") == "/jobs/job-6"
    assert "Not replayed yet." in page.one(id="sendings").text
    job = seen(await web.get("/jobs/job-6"))
    assert job.one(id="letters-of").link(ids[5]) == f"{GROUPS}/{ids[5]}"


async def test_a_letter_is_edited_field_by_field_or_as_a_whole_and_secrets_stay(
    web: httpx.AsyncClient, database: Database, ids: list[str], trail: Trail[Any]
) -> None:
    path = f"{GROUPS}/{ids[5]}"
    csrf = {"csrf_token": seen(await web.get(path)).form(f"{GROUPS}/discard")["csrf_token"]}

    async def edit(path: str, **typed: str) -> Element:
        answer = await web.post(f"{path}/edit", data=csrf | typed)
        assert answer.status_code == 303, answer.text
        return seen(await web.get(answer.headers["Location"]))

    page = await edit(path, field="start", value="2026-11-22T00:14:36-00:00", how="set")
    assert "Edited." in page.text
    assert "Today it would be processed" in page.text
    assert "What a replay sends edited by local" in page.text
    page = await edit(path, header="x-number", value="", how="remove")
    assert "header x-number" not in page.text
    answer = await web.post(f"{path}/revert", data=csrf)
    assert "reverted" in seen(await web.get(answer.headers["Location"])).text
    assert "edit" not in trail["dead_letters"].find_one({"reason": "missing_field"})

    body = b'{"file_id": "\xe2\x80\xaef",\r\n "extractor_id": "x", "status": "PROCESSING: password=hunter2", "key": 1}'
    [secret] = await store_letters(database, [letter(7, body=body, key="k")])
    path = f"{GROUPS}/{secret.id}"
    shown = seen(await web.get(path)).one("textarea", name="body").text
    assert "hunter2" not in shown
    typed = "".join(
        (await web.get(path)).text.partition('name="body"')[2].partition(">\n")[2].partition("</textarea")[0]
    )
    text = typed.replace("&#34;", '"')
    await edit(path, body=text.replace("\n", "\r\n").replace("\r\r", "\r"))
    stored = trail["dead_letters"].find_one({"_id": trail["dead_letters"].find_one({"key": "k"})["_id"]})
    assert bytes(stored["edit"]["body"]) == body  # a browser's line breaks are no change
    page = await edit(path, body=text.replace('"key": 1', '"key": 2'))
    edited = trail["dead_letters"].find_one({"key": "k"})["edit"]["body"]
    assert b"hunter2" in edited
    assert b'"key": 2' in edited
    assert "\u202ef".encode() in edited
    assert "hunter2" not in page.text


async def test_a_letter_that_was_sent_can_only_be_looked_at(
    web: httpx.AsyncClient, database: Database, ids: list[str]
) -> None:
    csrf = {"csrf_token": seen(await web.get(f"{GROUPS}/{ids[0]}")).form(f"{GROUPS}/discard")["csrf_token"]}
    replay = await store_replay(database, LetterFilter(ids=[ids[0]]))
    await play(database, replay, [LetterState.REPLAYED])
    page = seen(await web.get(f"{GROUPS}/{ids[0]}"))
    assert page.one(id="standing").link("a replay") == f"{REPLAYS}/replay-1"
    assert not page.all("form")
    assert "replay replay-1 to replies" in page.one(id="sendings").text
    answer = await web.post(f"{GROUPS}/{ids[0]}/edit", data=csrf | {"field": "a", "value": "1"})
    assert "Not edited" in seen(await web.get(answer.headers["Location"])).text


async def test_a_replay_shows_its_outcomes_why_it_halted_and_can_be_cancelled(
    web: httpx.AsyncClient, database: Database, ids: list[str], trail: Trail[Any]
) -> None:
    replay = await store_replay(database, LetterFilter(ids=ids), asked_at=datetime.now(UTC) - timedelta(seconds=9))
    path = f"{REPLAYS}/replay-1"
    page = seen(await web.get(path))
    assert "The dead-letter service does not seem to run" in page.one(id="verdict").text
    await play(database, replay, [LetterState.RESOLVED])
    page = seen(await web.get(path))
    assert not page.one(id="verdict").text
    assert "1 of 6 sent · 16 %" in page.one(id="progress").text
    assert page["data-live"] == "/live?topic=replay%3Areplay-1"
    await submit(web, page, f"{path}/cancel")
    assert "Cancelling" in seen(await web.get(path)).text

    repository = ReplayRepository(database)
    await play(database, replay, [LetterState.RESOLVED, LetterState.FAILED_AGAIN])
    await repository.tell(replay.id, ReplayState.HALTED, "1 of the first 3 failed again; nothing more was sent")
    page = seen(await web.get(path))
    assert page.one("p", of="headline").text == "1 of the first 3 failed again; nothing more was sent"
    assert page.link("View those that failed again") == f"{LETTERS}?replay=replay-1&state=failed_again"
    assert "2 resolved 1 failed again 3 not sent" in page.one(id="progress").text
    assert not page.all("form")
    assert "replay-1 halted by ann" in seen(await web.get(REPLAYS)).one(id="replays").text
    csrf = {"csrf_token": seen(await web.get(f"{GROUPS}/{ids[5]}")).form(f"{GROUPS}/discard")["csrf_token"]}
    await store_replay(database, LetterFilter(), id="over", state=ReplayState.DONE)
    answer = await web.post(f"{REPLAYS}/over/cancel", data=csrf)
    assert "Too late" in seen(await web.get(answer.headers["Location"])).text


@pytest.mark.parametrize(
    ("total", "sent", "state", "drawn"),
    [
        (37, 0, "running", "now next next"),
        (37, 1, "running", "now next next"),
        (37, 2, "running", "done now next"),
        (37, 10, "running", "done now next"),
        (37, 11, "running", "done done now"),
        (37, 37, "done", "done done done"),
        (37, 1, "halted", "halted next next"),
        (37, 10, "halted", "done halted next"),
        (37, 5, "cancelled", "done next next"),
        (1, 0, "running", "now"),
        (7, 7, "done", "done done"),
    ],
)
def test_stages_are_drawn_as_they_are_gone_through(total: int, sent: int, state: str, drawn: str) -> None:
    replay = Replay(
        id="r",
        selection=LetterFilter(),
        target=None,
        rate=None,
        staged=True,
        who="ann",
        origin="cli",
        asked_at=NOW,
        total=total,
        sent=sent,
        state=ReplayState(state),
    )
    assert " ".join(stage.state for stage in stages(replay)) == drawn
    assert sum(stage.sent for stage in stages(replay)) == sent
    assert sum(stage.count for stage in stages(replay)) == total


async def test_an_hour_of_which_messages_are_missing_is_a_red_row(
    web: httpx.AsyncClient, settings: Settings, trail: Trail[Any]
) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    tally = {"queue": settings.reply_stream, "hour": hour, "first_seq": 1, "last_seq": 9, "handed_out": 9, "stored": 9}
    trail["tallies"].insert_one({"_id": "t", "duplicates": 0, "dead_lettered": 0, **tally})
    page = seen(await web.get(f"{GROUPS}/conservation"))
    assert "9 messages are missing" in page.one(id="sum").text
    assert "9 not found: 1, 2, 3" in page.one("tr", of="wrong").text


def test_queues_of_which_messages_are_missing_come_first() -> None:
    def balance(queue: str, stored: int, found: int) -> Balance:
        tally = HourlyCount(
            queue=queue,
            hour=NOW,
            first_seq=1,
            last_seq=stored,
            handed_out=stored,
            stored=stored,
            duplicates=0,
            dead_lettered=0,
        )
        return Balance(tally=tally, missing=stored - found, doubled=0, difference="")

    audit = Audit(since=NOW, at=NOW, balances=[balance("a", 5, 5), balance("b", 5, 4)], positions=[], waiting=[])
    assert [(ledger.queue, ledger.wrong) for ledger in ledgers(audit)] == [("b", 1), ("a", 0)]


async def test_lists_are_paged_and_only_the_first_page_follows(web: httpx.AsyncClient, database: Database) -> None:
    await store_letters(database, [letter(n) for n in range(ROWS_PER_PAGE + 3)])
    page = seen(await web.get(LETTERS))
    first = {box["value"] for box in page.one(id="letters").all("input")}
    page = seen(await web.get(page.link("Older →")))
    rest = {box["value"] for box in page.one(id="letters").all("input")}
    assert (len(first), len(rest), first & rest) == (ROWS_PER_PAGE, 3, set())
    assert "data-live" not in page.attributes
    assert page.link("← First page") == LETTERS


async def test_a_file_is_imported_by_a_form(web: httpx.AsyncClient, ids: list[str], trail: Trail[Any]) -> None:
    exported = (await web.get("/api/v1/dead-letters/export")).content
    trail["dead_letters"].delete_many({})
    fields = seen(await web.get(LETTERS)).form(f"{GROUPS}/import")
    answer = await web.post(
        f"{GROUPS}/import", data={"csrf_token": fields["csrf_token"]}, files={"file": ("letters.jsonl", exported)}
    )
    assert "6 dead letters imported" in seen(await web.get(answer.headers["Location"])).text


async def test_forms_without_their_token_change_nothing(
    web: httpx.AsyncClient, ids: list[str], trail: Trail[Any]
) -> None:
    for path in (
        f"{GROUPS}/replay",
        f"{GROUPS}/discard",
        f"{GROUPS}/restore",
        f"{GROUPS}/dry-run",
        f"{GROUPS}/{ids[0]}/edit",
        f"{GROUPS}/{ids[0]}/revert",
        f"{group_page(trail)}/note",
        f"{REPLAYS}/x/cancel",
    ):
        assert (await web.post(path, data={"which": "all", "why": "x", "body": "x"})).status_code == 403, path
    assert trail["dead_letters"].count_documents({"state": "open"}) == 6


async def test_what_others_sent_is_shown_as_text(web: httpx.AsyncClient, database: Database) -> None:
    for number, text in enumerate(HOSTILE):
        body = update_body(text, text)
        fields = {"extractor_id": text, "origin": text, "version": text, "reason": text, "job_id": text}
        [made] = await store_letters(database, [letter(number, body=body, error=text, **fields)])
        for path in (GROUPS, LETTERS, f"{GROUPS}/{made.id}", f"{GROUPS}/groups/{made.cause_id}"):
            page = seen(await web.get(path))
            assert page.text
        [found] = seen(await web.get(LETTERS, params={"job": text})).one(id="letters").all("input")
        assert found["value"] == made.id
        page = seen(await web.get(f"{GROUPS}/groups/{made.cause_id}"))
        back = await submit(web, page, f"{GROUPS}/groups/{made.cause_id}/note", note=text)
        assert as_shown(text) in seen(await web.get(back)).one(id="fix").text
        page = seen(await web.get(f"{GROUPS}/{made.id}"))
        back = await submit(web, page, f"{GROUPS}/discard", why=text)
        assert as_shown(text) in seen(await web.get(back)).one(id="standing").text
