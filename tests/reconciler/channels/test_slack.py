"""The Slack channel: the real client against a local Slack that checks what the real one checks."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.notifications.outbox import Timings
from jobtrail.models.settings import ChannelName, Settings
from jobtrail.reconciler.channels.base import SendOutcome, SendVerdict
from jobtrail.reconciler.channels.slack import SlackChannel
from jobtrail.reconciler.channels.slack_blocks import escaped, slack_message
from tests.reconciler.messages import alert, entry, envelope, failures, news, summary, with_channels
from tests.reconciler.servers.slack_server import TOKEN, SlackServer, slack_server

SLACK = ChannelName.SLACK


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with slack_server() as server:
        yield server


def channel(server: SlackServer, token: str = TOKEN, docs_url: str | None = None) -> SlackChannel:
    on = with_channels(Settings(), slack=server.url, slack_token=SecretStr(token), docs_url=docs_url)
    return SlackChannel(on)


async def post(server: SlackServer, *bodies: object, **options: str) -> SendOutcome:
    entries = [entry(SLACK, body) for body in bodies]  # type: ignore[arg-type]
    (outcome,) = await channel(server, **options).send([envelope(*entries)])
    return outcome


async def test_an_alert_tells_everything_that_somebody_on_call_needs(slack: SlackServer) -> None:
    body = alert(dataset_ids=["ds-1", "ds-2"], wishlists=["Winter shoes"], processing_s=3.25)
    assert (await post(slack, body, docs_url="https://docs.example.org/jobtrail/")).verdict is SendVerdict.SENT
    (text,) = slack.texts()
    for part in (
        "dataset:get-status",
        "2026-11-22 04:00:00Z",
        "*error*",
        "The analyzer API does not answer in time: 2 datasets, one cause",
        "no answer within 10 s",
        "`ds-1`",
        "`ds-2`",
        "Winter shoes",
        "3.25 s",
        "run-1",
        "raise JOBTRAIL_ANALYZER_TIMEOUT_S",
        "https://docs.example.org/jobtrail/datasets.md#api_timeout",
    ):
        assert part in text
    assert slack.messages[0]["text"].startswith("🔴 dataset:get-status: The analyzer API does not answer in time")


async def test_without_published_docs_a_message_names_their_path_in_the_repository(slack: SlackServer) -> None:
    await post(slack, alert())
    assert "docs/datasets.md#api_timeout" in slack.texts()[0]


async def test_twelve_failures_of_one_cause_are_one_message(slack: SlackServer) -> None:
    (outcome,) = await channel(slack).send([envelope(*failures(12))])
    assert outcome.verdict is SendVerdict.SENT
    (text,) = slack.texts()
    assert "12 datasets failed, one cause" in text
    assert "no images" in text
    assert all(f"`ds-{number:03}` Winter shoes, took 12 min 5 s" in text for number in range(12))
    assert slack.keys == {failures(1)[0].key: 1}


async def test_of_very_many_datasets_fifty_are_listed_and_the_rest_is_counted(slack: SlackServer) -> None:
    (outcome,) = await channel(slack).send([envelope(*failures(1000))])
    assert outcome.verdict is SendVerdict.SENT
    assert "1000 datasets failed" in slack.texts()[0]
    assert slack.texts()[0].count("took") == 50
    assert "and 950 more" in slack.texts()[0]


async def test_a_completed_dataset_and_a_run_are_told(slack: SlackServer) -> None:
    await post(slack, news(batch_jobs={"front": "job-1", "back": "job-2"}))
    await post(slack, summary())
    await post(slack, summary(halted="database away", errors={"api_timeout": 3}))
    complete, run, halted = slack.texts()
    assert "Dataset ds-1 is complete" in complete
    assert "2 batch jobs" in complete
    for part in ("120 datasets checked, 5 changed", "Pending 100", "unchanged 115", "Analyzing → Complete 5", "3.20 s"):
        assert part in run
    assert "120 calls, mean 20 ms, p95 50 ms, longest 1.50 s" in run
    assert "Run halted after 120 datasets" in halted
    assert "*critical*" in halted
    assert "api_timeout 3" in halted


async def test_one_of_a_kind_is_told_as_one(slack: SlackServer) -> None:
    await post(slack, news(batch_jobs={"front": "job-1"}))
    await post(slack, summary(checked=1, api=Timings(count=1, mean_s=0.0018, p95_s=0.0018, most_s=0.0018)))
    complete, run = slack.texts()
    assert '1 batch job"' in complete
    assert "1 dataset checked" in run
    assert "1 call, mean 1.8 ms" in run


FOREIGN = st.text(alphabet=st.sampled_from("ab &<>\n`*_@!é😀\u2028"), min_size=1, max_size=4000)


@given(cause=FOREIGN, name=FOREIGN, count=st.integers(1, 120))
def test_whatever_the_text_block_kits_limits_hold(cause: str, name: str, count: int) -> None:
    server = SlackServer()
    bodies = [news(f"ds-{number}", failed=True, error_message=cause, wishlist=name) for number in range(count)]
    told = alert(cause=cause, wishlists=[name] * 3 + [f"{name}{number}" for number in range(60)], dataset_ids=[name])
    for entries in ([entry(SLACK, body) for body in bodies], [entry(SLACK, told)]):
        message = slack_message(envelope(*entries), "https://docs.example.org")
        metadata = {"event_type": "t", "event_payload": {"id": "k"}}
        whole = {"channel": "C0LOCAL", "text": message.text, "blocks": list(message.blocks), "metadata": metadata}
        assert server._problem(json.loads(json.dumps(whole))) is None


@given(FOREIGN, st.integers(2, 3000))
def test_escaping_never_leaves_half_an_entity(text: str, characters: int) -> None:
    result = escaped(text, characters)
    assert len(result) <= characters
    for entity in ("&amp;", "&lt;", "&gt;"):
        result = result.replace(entity, "")
    assert not set(result) & set("&<>")


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("token_revoked", SendVerdict.OUTAGE),
        ("internal_error", SendVerdict.OUTAGE),
        ("is_archived", SendVerdict.REFUSED),
        ("msg_too_long", SendVerdict.REFUSED),
        ("something_new", SendVerdict.FAILED),
    ],
)
async def test_slacks_error_codes_are_told_apart(slack: SlackServer, code: str, verdict: SendVerdict) -> None:
    slack.answers.append(web.json_response({"ok": False, "error": code}))
    outcome = await post(slack, news())
    assert (outcome.verdict, outcome.code) == (verdict, code)
    assert outcome.error is not None
    assert outcome.error.startswith(f"{code}: ")


async def test_a_wrong_token_is_an_outage_with_advice_and_is_not_told(slack: SlackServer) -> None:
    outcome = await post(slack, news(), token="xoxb-wrong-token")
    assert (outcome.verdict, outcome.code) == (SendVerdict.OUTAGE, "invalid_auth")
    assert "JOBTRAIL_SLACK_TOKEN" in str(outcome.error)
    assert "xoxb" not in repr(outcome)


async def test_an_unknown_channel_is_refused_for_good(slack: SlackServer) -> None:
    elsewhere = replace(entry(SLACK), recipient="C0GONE")
    (outcome,) = await channel(slack).send([envelope(elsewhere)])
    assert (outcome.verdict, outcome.code) == (SendVerdict.REFUSED, "channel_not_found")


async def test_a_rate_limit_says_how_long_to_wait(slack: SlackServer) -> None:
    slack.interval_s, slack.retry_after_s = 60, 17
    assert (await post(slack, news("ds-1"))).verdict is SendVerdict.SENT
    outcome = await post(slack, news("ds-2"))
    assert (outcome.verdict, outcome.after_s) == (SendVerdict.LIMITED, 17.0)


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=503, text="<html>no</html>", content_type="text/html"),
        web.Response(status=503, text="no", content_type="text/plain"),
        web.Response(status=502, text="{half", content_type="application/json"),
        web.Response(status=200, text="<html>log in</html>", content_type="text/html"),
        web.Response(status=200, text="welcome", content_type="text/plain"),
    ],
    ids=["html", "text", "broken-json", "proxy-page", "proxy-text"],
)
async def test_an_answer_that_is_not_slacks_is_an_outage(slack: SlackServer, answer: web.Response) -> None:
    slack.answers.append(answer)
    outcome = await post(slack, news())
    assert outcome.verdict is SendVerdict.OUTAGE
    assert outcome.code == str(answer.status)


async def test_no_slack_at_all_is_an_outage() -> None:
    outcome = await post(SlackServer(port=1), news())
    assert outcome.verdict is SendVerdict.OUTAGE
    assert "can't be reached" in str(outcome.error)


async def test_no_answer_in_time_is_an_outage(slack: SlackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobtrail.reconciler.channels.slack.TIMEOUT_S", 0.2)
    slack.holding = asyncio.Event()
    outcome = await post(slack, alert(kind=AlertKind.CRITICAL))
    assert (outcome.verdict, outcome.code) == (SendVerdict.OUTAGE, "TimeoutError")
    slack.holding.set()
