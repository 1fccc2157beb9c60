"""The Pusher channel: the real library against a local Pusher that checks signatures, and a real websocket client."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pysher
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from jobtrail.models.errors import SettingError
from jobtrail.models.notifications.outbox import OutboxEntry
from jobtrail.models.notifications.pusher_channels import dataset_channel, dataset_of, is_channel_name, user_channel
from jobtrail.models.settings import ChannelName, Settings
from jobtrail.reconciler.channels.base import SendOutcome, SendVerdict
from jobtrail.reconciler.channels.pusher import PusherChannel, pusher_client
from jobtrail.reconciler.channels.pusher_event import DATA_BYTES, event
from tests.reconciler.messages import alert, entry, envelope, news, with_channels
from tests.reconciler.servers.pusher_server import KEY, SECRET, PusherServer, pusher_server
from tests.support import eventually

PUSHER = ChannelName.PUSHER


@pytest.fixture
async def pusher() -> AsyncIterator[PusherServer]:
    async with pusher_server() as server:
        yield server


async def send(url: str, *entries: OutboxEntry) -> list[SendOutcome]:
    return list(await PusherChannel(with_channels(Settings(), pusher=url)).send([envelope(one) for one in entries]))


@contextmanager
def browser(server: PusherServer, channel: str, secret: str = SECRET) -> Iterator[list[tuple[str, dict[str, object]]]]:
    """A real websocket client on a private channel; yields the events that it gets. Blocks: run it in a thread."""
    got: list[tuple[str, dict[str, object]]] = []
    client = pysher.Pusher(KEY, secret=secret, secure=False, custom_host="127.0.0.1", port=server.port)
    established = threading.Event()
    client.connection.bind("pusher:connection_established", lambda _data: established.set())
    client.connect()
    try:
        assert established.wait(10)
        mine = client.subscribe(channel)
        for name in ("dataset.completed", "dataset.failed"):
            mine.bind(name, lambda data, name=name: got.append((name, json.loads(data))))
        yield got
    finally:
        client.disconnect(5)


async def test_a_browser_on_a_users_private_channel_gets_the_event(pusher: PusherServer) -> None:
    channel = user_channel("ada@example.org")
    loop = asyncio.get_running_loop()
    failed = entry(PUSHER, news(failed=True), recipient=channel)

    def watch() -> list[tuple[str, dict[str, object]]]:
        with browser(pusher, channel) as got:
            eventually(lambda: channel in {name for _, name in pusher.subscriptions})
            (outcome,) = asyncio.run_coroutine_threadsafe(send(pusher.url, failed), loop).result()
            assert outcome.verdict is SendVerdict.SENT
            eventually(lambda: bool(got))
            return got

    ((name, data),) = await asyncio.to_thread(watch)
    assert name == "dataset.failed"
    assert data == {
        "id": failed.key,
        "dataset_id": "ds-1",
        "status": "Failed",
        "wishlist": "Winter shoes",
        "error_message": "no images",
        "created_at": "2026-11-22T03:47:55.000+00:00",
        "ended_at": "2026-11-22T04:00:00.000+00:00",
        "processing_s": 725.0,
        "batch_jobs": {},
        "cut": False,
    }


async def test_a_browser_with_a_wrong_signature_gets_nothing(pusher: PusherServer) -> None:
    def watch() -> None:
        with browser(pusher, dataset_channel("ds-1"), secret="guessed"):
            eventually(lambda: bool(pusher.refused))

    await asyncio.to_thread(watch)
    assert pusher.refused == ["subscription to private-dataset-ds-1"]
    assert not pusher.subscriptions


async def test_ten_events_go_out_in_one_request(pusher: PusherServer) -> None:
    outcomes = await send(pusher.url, *(entry(PUSHER, news(f"ds-{number}")) for number in range(10)))
    assert [outcome.verdict for outcome in outcomes] == [SendVerdict.SENT] * 10
    assert pusher.batches == [10]
    assert [event["channel"] for event in pusher.events] == [f"private-dataset-ds-{number}" for number in range(10)]
    assert {event["name"] for event in pusher.events} == {"dataset.completed"}


async def test_when_a_batch_is_refused_the_good_events_go_out_alone(pusher: PusherServer) -> None:
    pusher.bad_channels = {"private-dataset-ds-2"}
    outcomes = await send(pusher.url, *(entry(PUSHER, news(f"ds-{number}")) for number in range(4)))
    verdicts = [outcome.verdict for outcome in outcomes]
    assert verdicts == [SendVerdict.SENT, SendVerdict.SENT, SendVerdict.REFUSED, SendVerdict.SENT]
    assert "private-dataset-ds-2" in str(outcomes[2].error)
    assert [event["data"]["dataset_id"] for event in pusher.events] == ["ds-0", "ds-1", "ds-3"]


async def test_a_name_that_pusher_does_not_know_or_a_body_that_is_no_news_is_refused(pusher: PusherServer) -> None:
    strange = replace(entry(PUSHER), recipient="private-user-ada lovelace")
    outcomes = await send(pusher.url, strange, entry(PUSHER, alert()), entry(PUSHER, news("ds-2")))
    assert [outcome.verdict for outcome in outcomes] == [SendVerdict.REFUSED, SendVerdict.REFUSED, SendVerdict.SENT]


@pytest.mark.parametrize(
    "told",
    [
        news(failed=True, error_message="x" * 50_000),
        news(failed=True, error_message="😀" * 50_000, wishlist="é" * 50_000),
        news(batch_jobs={f"viewpoint {number}": "job" * 12 for number in range(500)}),
    ],
    ids=["long-message", "wide-letters", "many-jobs"],
)
async def test_what_is_too_long_for_pusher_is_cut_and_says_so(pusher: PusherServer, told: object) -> None:
    (outcome,) = await send(pusher.url, entry(PUSHER, told))  # type: ignore[arg-type]
    assert outcome.verdict is SendVerdict.SENT
    (event,) = pusher.events
    assert event["data"]["cut"] is True
    assert event["data"]["dataset_id"] == "ds-1"


@given(st.text(max_size=12_000), st.text(max_size=200), st.integers(0, 100))
def test_an_event_never_has_more_than_ten_kilobytes(message: str, wishlist: str, jobs: int) -> None:
    told = news(error_message=message, wishlist=wishlist, batch_jobs={f"v{number}": "j" * 36 for number in range(jobs)})
    data = event(envelope(entry(PUSHER, told)), told)["data"]
    assert len(data.encode()) <= DATA_BYTES
    content = json.loads(data)
    whole = (content["error_message"], content["wishlist"], content["batch_jobs"]) == (
        message,
        wishlist,
        told.batch_jobs,
    )
    assert content["cut"] is not whole


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (401, SendVerdict.OUTAGE),
        (403, SendVerdict.OUTAGE),
        (400, SendVerdict.REFUSED),
        (413, SendVerdict.REFUSED),
        (429, SendVerdict.LIMITED),
        (503, SendVerdict.OUTAGE),
        (200, SendVerdict.OUTAGE),  # a page of a proxy
    ],
)
async def test_pushers_answers_are_told_apart(pusher: PusherServer, status: int, verdict: SendVerdict) -> None:
    pusher.answers.append(web.Response(status=status, text="<html>"))
    (outcome,) = await send(pusher.url, entry(PUSHER))
    assert outcome.verdict is verdict


async def test_a_wrong_secret_is_an_outage_and_is_not_told(pusher: PusherServer) -> None:
    (outcome,) = await send(pusher.url.replace(SECRET, "wrong-secret"), entry(PUSHER))
    assert (outcome.verdict, outcome.code) == (SendVerdict.OUTAGE, "401")
    assert "JOBTRAIL_PUSHER_URL" in str(outcome.error)
    assert "wrong-secret" not in repr(outcome)


async def test_no_pusher_is_an_outage_that_tells_no_part_of_the_signature() -> None:
    (outcome,) = await send(PusherServer(port=1).url, entry(PUSHER))
    assert outcome.verdict is SendVerdict.OUTAGE
    assert "auth_" not in repr(outcome)
    assert SECRET not in repr(outcome)


async def test_when_pusher_goes_away_in_the_middle_the_rest_is_not_asked(pusher: PusherServer) -> None:
    pusher.answers += [web.Response(status=status) for status in (400, 503)]
    outcomes = await send(pusher.url, *(entry(PUSHER, news(f"ds-{number}")) for number in range(3)))
    assert [outcome.verdict for outcome in outcomes] == [SendVerdict.OUTAGE] * 3
    assert not pusher.events


def test_a_url_is_read_with_its_port_and_its_encoded_secret() -> None:
    client = pusher_client("http://key:s%2Fecret@localhost:6001/apps/12")._pusher_client
    assert (client.scheme, client.host, client.port, client.key, client.secret, client.app_id) == (
        "http",
        "localhost",
        6001,
        "key",
        "s/ecret",
        "12",
    )
    assert pusher_client("https://key:secret@api-eu.pusher.com/apps/12")._pusher_client.port == 443


@pytest.mark.parametrize(
    "url",
    [
        "api-eu.pusher.com",
        "https://key@api-eu.pusher.com/apps/12",
        "https://key:secret@api-eu.pusher.com/",
        "https://key:secret@api-eu.pusher.com/apps/twelve",
        "https://key:secret@host:port/apps/12",
    ],
)
def test_a_url_of_no_pusher_is_a_wrong_setting_and_is_not_told(url: str) -> None:
    with pytest.raises(SettingError, match="JOBTRAIL_PUSHER_URL") as raised:
        pusher_client(url)
    assert "key:secret@h" not in str(raised.value)


IDS = st.text(st.sampled_from("ab0~%=;:@,._-/ é😀\\"), max_size=40)


@given(IDS, IDS)
def test_every_id_has_a_channel_of_its_own_from_which_it_can_be_read(one: str, other: str) -> None:
    assert is_channel_name(dataset_channel(one))
    assert is_channel_name(user_channel(one))
    assert dataset_of(dataset_channel(one)) == one
    assert (user_channel(one) == user_channel(other)) is (one == other)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", fullmatch=True))
def test_no_valid_dataset_id_is_too_long(dataset_id: str) -> None:
    assert is_channel_name(dataset_channel(dataset_id))
    assert dataset_of(dataset_channel(dataset_id)) == dataset_id


@pytest.mark.parametrize("channel", ["private-user-a", "private-dataset-=41", "private-dataset-%41", "dataset-a", ""])
def test_a_channel_that_is_no_datasets_is_known(channel: str) -> None:
    assert dataset_of(channel) is None


def test_a_user_id_that_is_too_long_still_has_a_channel_of_its_own() -> None:
    first, second = user_channel("é" * 200), user_channel("é" * 201)
    assert is_channel_name(first)
    assert first != second
