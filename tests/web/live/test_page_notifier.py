"""Open pages hear of changes: at once, not too often, and always of the last one."""

import asyncio
from datetime import UTC, datetime

import pytest

from jobtrail.models.jobs.job import Event
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import StatusUpdate
from jobtrail.models.settings import Settings
from jobtrail.models.token import Role
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.store.feed import Touch, Update
from jobtrail.web.live.hub import make_hub
from jobtrail.web.live.page_notifier import MIN_PAUSE_S, PageNotifier
from jobtrail.web.live.sse import COMMENT, event
from jobtrail.web.live.topics import topics_of
from tests.support import WAIT_S
from tests.web.conftest import Asking, Tokens, serving
from tests.web.live.client import listening
from tests.web.live.writer import Writer

CHANGED = event("changed")


def an_update(job_id: str | None) -> Update:
    now = datetime.now(UTC)
    sent = StatusUpdate(
        extractor_id="x",
        resource_id="d:1",
        job_id=job_id,
        status="DONE",
        state=Status.SUCCEEDED,
        message="",
        event_time=now,
    )
    return Update(token="t", event=Event(id="e", queue="q", seq=1, received_at=now, update=sent))


def test_a_change_has_the_topics_of_all_that_it_is_about() -> None:
    about = ["all", "resource:d:1", "extractor:x", "dataset:d:1"]
    assert topics_of(an_update("j")) == [*about, "job:j"]
    assert topics_of(an_update(None)) == about
    assert topics_of(Touch()) == ["all"]
    assert topics_of(Touch(extractor="x")) == ["all", "extractor:x"]
    assert topics_of(Touch(dataset_id="d")) == ["all", "datasets", "dataset:d"]
    assert topics_of(Touch(dataset_id="d", user_id="u")) == ["all", "datasets", "dataset:d", "user:u"]


async def test_the_first_change_is_told_at_once_and_those_that_follow_together() -> None:
    clock = asyncio.get_running_loop().time
    notifier = PageNotifier(["all"])
    notifier.notify(None)
    notifier.notify(1)
    assert await notifier.take() == CHANGED
    told_s = clock()
    for _ in range(3):
        notifier.notify(1)
        await asyncio.sleep(0)
    assert await notifier.take() == CHANGED
    assert clock() - told_s >= MIN_PAUSE_S - 0.02
    notifier.notify(1)  # while the last one is on its way
    assert await notifier.take() == CHANGED
    notifier.end()
    notifier.notify(1)
    assert await notifier.take() is None


async def test_a_silent_pulse_shows_a_keepalive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobtrail.web.live.page_notifier.KEEPALIVE_S", 0.01)
    notifier = PageNotifier(["all"])
    assert await notifier.take() == COMMENT
    assert await notifier.take() == COMMENT
    notifier.notify(1)
    assert await notifier.take() == CHANGED


async def test_a_page_hears_of_everything_that_it_may_have_missed(
    settings: Settings, database: Database, console: Console
) -> None:
    hub = make_hub(settings, database)
    stop = asyncio.Event()
    with (
        hub.listening(PageNotifier(["user:ann", "datasets"])) as page,
        hub.listening(PageNotifier(["dataset:d-2"])) as other,
    ):
        async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as tasks:
            tasks.create_task(hub.run(stop))
            assert await page.take() == CHANGED  # the hub has begun: there may have been something before
            assert await other.take() == CHANGED
            await console.histories.insert_one({"dataset_id": "d-1"})
            while True:
                assert await page.take() == CHANGED
                if await console.notifications.find_one({"user_id": "ann"}):
                    break
                await console.notifications.insert_one({"user_id": "ann", "dataset_id": "d-2"})
            assert await other.take() == CHANGED
            stop.set()
        assert await page.take() is None


async def test_a_page_that_loads_anew_with_each_pulse_ends_up_with_the_last_change(
    port: int, writer: Writer, database: Database
) -> None:
    clock = asyncio.get_running_loop().time
    count = 60

    async def write() -> None:
        for number in range(count):
            await writer.say(str(number), job="j 1", resource="f&1")
            await asyncio.sleep(0.01)

    async with listening(port, "/live?topic=job:j%201&topic=resource:f%261") as page:
        assert page.status == 200
        assert page.headers["content-type"].startswith("text/event-stream")
        await writer.say("here we are", job="j 1")
        assert await page.event() is not None
        begun_s = clock()
        writing = asyncio.create_task(write())
        seen = events = 0
        while seen < count:
            told = await page.event()
            assert told is not None
            assert (told.kind, told.data, told.id) == ("changed", {}, None)
            events += 1
            seen = await database.extractions.count_documents({"job_id": "j 1", "file_id": "f&1"})
        await writing
        assert events <= (clock() - begun_s) / MIN_PAUSE_S + 2


async def test_only_operators_hear_of_others_notifications(asking: Asking, tokens: Tokens) -> None:
    viewer = await tokens.make("viewer", user="ann")
    nobody = await tokens.make("program")
    for token, topic in ((viewer, "user:bob"), (viewer, "user:Ann"), (nobody, "user:ann"), (nobody, "user:None")):
        async with asking(token, web_auth="tokens") as client:
            answer = await client.get(
                "/live", params={"topic": ["all", topic]}, headers={"Accept": "text/event-stream"}
            )
            assert answer.status_code == 403, topic


async def test_viewers_hear_of_their_own_notifications_and_operators_of_all(settings: Settings, tokens: Tokens) -> None:
    tokened = settings.model_copy(update={"web_auth": "tokens"})
    askers = (await tokens.make("viewer", user="ann"), await tokens.make("operator", user="bob", role=Role.OPERATOR))
    async with serving(tokened) as web:
        for token in askers:
            async with listening(web.base_url.port or 0, "/live?topic=user:ann&topic=all", token=token) as page:
                assert page.status == 200


@pytest.mark.parametrize("query", ["", "topic=", "topic=job", "topic=job:", "topic=jobs:1", "topic=all&topic=nothing"])
async def test_a_topic_that_there_is_not_is_refused(asking: Asking, query: str) -> None:
    async with asking() as client:
        assert (await client.get(f"/live?{query}")).status_code == 400
