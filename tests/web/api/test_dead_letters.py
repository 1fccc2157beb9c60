"""Dead letters over REST: found, looked at, judged, edited, discarded, restored, taken out and in."""

import json
from typing import Any

import httpx
import pytest

from jobtrail.models.dead_letters.dead_letter import LetterFilter, LetterState
from jobtrail.models.dead_letters.replay import ReplayState
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from tests.deadletters.conftest import update_body
from tests.web.api.support import all_pages, assert_problem, get
from tests.web.conftest import Asking, Tokens
from tests.web.letters import letter, play, store_letters, store_replay

PATH = "/api/v1/dead-letters"
NO_LETTER = "6921000000000000000000ff"
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
async def letters(database: Database) -> list[str]:
    """Five letters that can be processed by now, and one that can't; their ids, the first captured first."""
    made = [letter(n) for n in range(1, 6)]
    poison = letter(6, reason="missing_field", error="start is missing", body=update_body("job-6", start=None))
    return [each.id for each in await store_letters(database, [*made, poison])]


def acts(trail: Any) -> list[tuple[str, str, str]]:
    """What stands in the audit log: act, target, outcome."""
    return [(each["act"], each["target"], each["outcome"]) for each in trail["audit"].find().sort("at")]


async def send(api: httpx.AsyncClient, path: str, body: object, method: str = "POST", status: int = 200) -> Any:
    """Send JSON, and return what is answered."""
    answer = await api.request(method, f"{PATH}{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_letters_are_listed_page_by_page_and_by_what_they_are(api: httpx.AsyncClient, letters: list[str]) -> None:
    pages = await all_pages(api, "/dead-letters", "letters", limit=4)
    assert [each["id"] for page in pages for each in page] == letters[::-1]
    [poison] = (await get(api, "/dead-letters", reason="missing_field", state=["open", "unknown"]))["letters"]
    assert (poison["id"], poison["job_id"], poison["error"]) == (letters[5], "job-6", "start is missing")
    for filters in ({"group": poison["group_id"]}, {"job": "job-6"}, {"reason": "missing_field", "kind": "update"}):
        assert [each["id"] for each in (await get(api, "/dead-letters", **filters))["letters"]] == [letters[5]]
    assert len((await get(api, "/dead-letters", origin="replies", queue="dead"))["letters"]) == 6
    for nothing in ({"state": "resolved"}, {"extractor": "x"}, {"replay": "r"}, {"since": "10s"}):
        assert (await get(api, "/dead-letters", **nothing))["letters"] == []
    assert_problem(await api.get(PATH, params={"state": "asleep"}), 400, flaw=("query", "state.0"))
    assert_problem(await api.get(PATH, params={"colour": "red"}), 400)


async def test_a_letter_is_shown_with_secrets_masked_and_judged_as_of_today(
    api: httpx.AsyncClient, database: Database, letters: list[str]
) -> None:
    [secret] = (
        await store_letters(
            database,
            [letter(7, body=update_body("job-7", "password=hunter2"), key="a"), letter(8, body=b"\xff\x00", key="b")],
        )
        and (await get(api, "/dead-letters", job="job-7"))["letters"]
    )
    told = await get(api, f"/dead-letters/{secret['id']}")
    assert "hunter2" not in json.dumps(told)
    assert told["judgement"]["verdict"] == "applies"
    assert told["target"] == "replies"
    assert told["content"]["decoded"]["job_id"] == "job-7"
    assert told["content"]["properties"] == {"content_type": "application/json", "headers": {"x-number": 7}}
    poison = await get(api, f"/dead-letters/{letters[5]}")
    assert (poison["judgement"]["verdict"], poison["judgement"]["detail"]) == ("fails", "start is missing")
    [binary] = (await get(api, "/dead-letters", job="job-8"))["letters"]
    content = (await get(api, f"/dead-letters/{binary['id']}"))["content"]
    assert (content["text"], content["decoded"]) == (None, None)
    assert content["hexadecimal"].startswith("00000000  ff 00")
    for unknown in (NO_LETTER, "no-id"):
        assert_problem(await api.get(f"{PATH}/{unknown}"), 404, unknown)


async def test_an_edit_changes_what_a_replay_sends_and_can_be_taken_back(
    api: httpx.AsyncClient, letters: list[str], trail: Any
) -> None:
    path = f"/{letters[5]}/edit"
    change = {"fields": {"start": "2026-11-22T00:14:36-00:00"}, "headers": {"x-try": 2, "x-number": None}}
    told = await send(api, path, change, "PUT")
    assert told["judgement"]["verdict"] == "applies"
    assert told["letter"]["edited"]
    assert told["content"]["decoded"]["start"] is None
    assert told["edited"]["decoded"]["start"].startswith("2026")
    assert told["edited"]["properties"]["headers"] == {"x-try": 2}
    told = await send(api, path, {"body": "{}"}, "PUT")
    assert told["edited"]["text"] == "{}"
    answer = await api.delete(f"{PATH}{path}")
    assert (answer.status_code, answer.json()["edited"]) == (200, None)
    assert acts(trail) == [("letters.edit", letters[5], "done")] * 3
    assert trail["audit"].find_one()["details"]["changed"] == "start, header x-try, header x-number"
    for wrong in ({}, {"body": "x", "fields": {"a": 1}}, {"headers": {"x": 10**30}}, {"fields": {"status.x": 1}}):
        assert_problem(await api.put(f"{PATH}{path}", json=wrong), 400)
    assert_problem(await api.put(f"{PATH}/{NO_LETTER}/edit", json={"body": "x"}), 404)


async def test_a_letter_that_was_sent_is_edited_no_more(
    api: httpx.AsyncClient, database: Database, letters: list[str]
) -> None:
    replay = await store_replay(database, LetterFilter(ids=[letters[0]]))
    await play(database, replay, [LetterState.REPLAYED])
    assert_problem(await api.put(f"{PATH}/{letters[0]}/edit", json={"body": "x"}), 409, "replayed")
    assert_problem(await api.delete(f"{PATH}/{letters[0]}/edit"), 409, "replayed")


async def test_a_dry_run_tells_what_a_replay_would_come_to_and_changes_nothing(
    api: httpx.AsyncClient, settings: Settings, letters: list[str], trail: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await send(api, "/dry-run", {"all": True})
    assert (told["total"], told["applies"], told["fails"]) == (6, 5, 1)
    assert {"verdict": "fails", "reason": "missing_field: start is missing", "count": 1} in told["reasons"]
    assert told["targets"] == [{"queue": "replies", "count": 6}]
    told = await send(api, "/dry-run", {"ids": letters[:2], "to": settings.heartbeat_queue})
    assert told["targets"] == [{"queue": settings.heartbeat_queue, "count": 2}]
    assert trail["jobs"].count_documents({}) == 0
    monkeypatch.setattr("jobtrail.web.dead_letters.dry_run.MAX_JUDGED", 3)
    assert_problem(await api.post(f"{PATH}/dry-run", json={"all": True}), 400, "narrow")


async def test_which_letters_are_meant_must_be_said(api: httpx.AsyncClient, letters: list[str]) -> None:
    for path in ("/dry-run", "/replays", "/restore"):
        assert_problem(await api.post(f"{PATH}{path}", json={}), 400, "select dead letters")
        assert_problem(await api.post(f"{PATH}{path}", json={"grup": "x"}), 400, flaw=("body", "grup"))
    assert_problem(await api.post(f"{PATH}/discard", json={"all": True}), 400, flaw=("body", "why"))
    assert_problem(await api.post(f"{PATH}/discard", json={"all": True, "why": " "}), 400, flaw=("body", "why"))
    assert_problem(await api.post(f"{PATH}/discard", json={"why": "x", "since": 5}), 400, flaw=("body", "since"))


async def test_letters_are_discarded_with_a_reason_and_restored(
    api: httpx.AsyncClient, letters: list[str], trail: Any
) -> None:
    assert await send(api, "/discard", {"reason": "too_large", "why": "tests of ours"}) == {"count": 5}
    told = (await get(api, "/dead-letters", state="discarded"))["letters"]
    assert {each["note"] for each in told} == {"tests of ours"}
    assert await send(api, "/restore", {"ids": letters[:2]}) == {"count": 2}
    assert await send(api, "/restore", {"all": True, "until": "1s"}) == {"count": 3}
    assert trail["dead_letters"].count_documents({"state": "open", "note": {"$exists": False}}) == 6
    assert [act for act, _, _ in acts(trail)] == ["letters.discard", "letters.restore", "letters.restore"]
    discarded = trail["audit"].find_one({"act": "letters.discard"})["details"]
    assert discarded == {
        "version": "1",
        "letters": "reason too_large",
        "reason": "tests of ours",
        "count": "5",
    }


async def test_letters_in_the_hands_of_a_replay_are_not_discarded(
    api: httpx.AsyncClient, database: Database, letters: list[str], trail: Any
) -> None:
    replay = await store_replay(database, LetterFilter(ids=letters[:2]))
    answer = await api.post(f"{PATH}/discard", json={"ids": [letters[1]], "why": "no use"})
    assert_problem(answer, 409, replay.id)
    assert "ann" in answer.json()["detail"]
    assert acts(trail) == [("letters.discard", letters[1], "refused")]
    assert await send(api, "/discard", {"ids": [letters[3]], "why": "no use"}) == {"count": 1}


async def test_what_is_exported_can_be_imported_elsewhere_and_twice(
    api: httpx.AsyncClient, database: Database, letters: list[str], trail: Any
) -> None:
    [binary] = await store_letters(database, [letter(9, body=b"\xff\x00", reason="not_json")])
    answer = await api.get(f"{PATH}/export")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/x-ndjson")
    lines = answer.text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [*letters, binary.id]
    one = await api.get(f"{PATH}/export", params={"reason": "not_json"})
    assert len(one.text.splitlines()) == 1
    assert (await api.post(f"{PATH}/import", content=answer.content, headers=LINES)).json() == {"count": 0}
    before = trail["dead_letters"].find_one({"_id": trail["dead_letters"].find_one({"reason": "not_json"})["_id"]})
    trail["dead_letters"].delete_many({})
    assert (await api.post(f"{PATH}/import", content=answer.content, headers=LINES)).json() == {"count": 7}
    after = trail["dead_letters"].find_one({"reason": "not_json"})
    assert (after["body"], after["properties"]) == (before["body"], before["properties"])
    assert [act for act, _, _ in acts(trail)] == ["letters.export"] * 2 + ["letters.import"] * 2
    for wrong in (b"no json", answer.content + b"\n{}", b"\xff", b'{"format": "other"}'):
        assert_problem(await api.post(f"{PATH}/import", content=wrong, headers=LINES), 400)
    assert trail["dead_letters"].count_documents({}) == 7
    too_much = await api.post(f"{PATH}/import", content=b" " * (17 * 1024 * 1024), headers=LINES)
    assert too_much.status_code == 413


async def test_groups_are_listed_shown_and_noted(api: httpx.AsyncClient, letters: list[str], trail: Any) -> None:
    groups = (await get(api, "/dead-letters/groups"))["groups"]
    by_reason = {group["cause"]["reason"]: group for group in groups}
    large = by_reason["too_large"]
    assert (large["total"], large["unsettled"], large["counts"]["open"], sum(large["hours"])) == (5, 5, 5, 5)
    assert [len(page) for page in await all_pages(api, "/dead-letters/groups", "groups", limit=1)] == [1, 1]
    path = f"/groups/{large['id']}"
    told = await send(api, f"{path}/note", {"note": "Raised the limit."}, "PUT")
    assert (told["fix"]["note"], told["fix"]["who"]) == ("Raised the limit.", "local")
    assert (await get(api, f"/dead-letters{path}"))["fix"] == told["fix"]
    assert (await send(api, f"{path}/note", {"note": None}, "PUT"))["fix"] is None
    await send(api, "/discard", {"group": large["id"], "why": "mended"})
    assert len((await get(api, "/dead-letters/groups"))["groups"]) == 1
    assert len((await get(api, "/dead-letters/groups", all=True))["groups"]) == 2
    assert_problem(await api.get(f"{PATH}/groups/none"), 404, "none")
    assert_problem(await api.put(f"{PATH}/groups/none/note", json={"note": "x"}), 404, "none")
    assert ("letters.note", large["id"], "done") in acts(trail)


async def test_a_replay_is_asked_for_watched_and_cancelled(
    api: httpx.AsyncClient, database: Database, letters: list[str], trail: Any
) -> None:
    asked = {"reason": "too_large", "to": "elsewhere", "rate": 5, "staged": False}
    answer = await api.post(f"{PATH}/replays", json=asked)
    assert answer.status_code == 202, answer.text
    begun = answer.json()
    assert (begun["state"], begun["total"], begun["who"], begun["target"]) == ("waiting", 5, "local", "elsewhere")
    assert (await api.get(answer.headers["Location"])).json() == begun
    assert (await get(api, "/dead-letters/replays"))["replays"] == [begun]
    again = await api.post(f"{PATH}/replays", json={"ids": letters[:1]})
    assert_problem(again, 409, begun["id"])
    assert "local" in again.json()["detail"]
    cancelled = await send(api, f"/replays/{begun['id']}/cancel", None)
    assert cancelled["cancelling"]
    assert_problem(await api.post(f"{PATH}/replays/none/cancel"), 404)
    ended = await store_replay(database, LetterFilter(), id="over", state=ReplayState.DONE)
    assert_problem(await api.post(f"{PATH}/replays/{ended.id}/cancel"), 409, "ended")
    assert_problem(await api.post(f"{PATH}/replays", json={"ids": [NO_LETTER]}), 404, "no dead letter to replay")
    assert [(act, outcome) for act, _, outcome in acts(trail)] == [
        ("letters.replay", "done"),
        ("letters.replay", "refused"),
        ("replay.cancel", "done"),
        ("replay.cancel", "refused"),
        ("replay.cancel", "refused"),
        ("letters.replay", "refused"),
    ]
    noted = trail["audit"].find_one({"act": "letters.replay", "outcome": "done"})
    assert noted["target"] == begun["id"]
    assert noted["details"] == {
        "version": "1",
        "letters": "reason too_large",
        "staged": "no",
        "to": "elsewhere",
        "rate": "5/s",
        "count": "5",
    }


async def test_the_conservation_of_messages_is_audited_for_a_bounded_time(
    api: httpx.AsyncClient, settings: Settings
) -> None:
    told = await get(api, "/conservation")
    assert (told["missing"], told["doubled"], told["balances"]) == (0, 0, [])
    assert ({each["queue"] for each in told["queues"]}, told["streams"]) == ({settings.dead_letter_queue}, [])
    assert (await get(api, "/conservation", since="7d"))["since"] < told["since"]
    for wrong in ("5w", "2999-01-01"):
        assert_problem(await api.get("/api/v1/conservation", params={"since": wrong}), 400, "since")


async def test_only_operators_see_or_change_any_of_it(asking: Asking, tokens: Tokens, letters: list[str]) -> None:
    async with asking(await tokens.make("viewer", user="ann"), web_auth="tokens") as viewer:
        reads = ["", "/groups", "/replays", "/export", f"/{letters[0]}", "/groups/x", "/replays/x"]
        for path in reads:
            assert_problem(await viewer.get(f"{PATH}{path}"), 403, "operator")
        assert_problem(await viewer.get("/api/v1/conservation"), 403, "operator")
        for path in ("/dry-run", "/replays", "/discard", "/restore", "/import"):
            assert_problem(await viewer.post(f"{PATH}{path}", json={"all": True, "why": "x"}), 403, "operator")
        for topic in ("letters", "group:x", "replay:x"):
            assert (await viewer.get("/live", params={"topic": topic})).status_code == 403
