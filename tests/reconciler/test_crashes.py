"""SIGKILL at every point between asking and having sent: the change is whole or absent, and everybody hears of it."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from jobtrail.models.errors import BusyError
from jobtrail.models.settings import Settings
from jobtrail.reconciler.service import reconciler_parts
from jobtrail.stack.demo.analyzer import AnalyzerSimulator, Plan
from tests.reconciler.bench import NOTHING, Bench
from tests.reconciler.crash_process import HURRY, owner_and_name
from tests.reconciler.servers.pusher_server import PusherServer, pusher_server
from tests.reconciler.servers.slack_server import CHANNEL, SlackServer, slack_server
from tests.reconciler.servers.slack_server import TOKEN as SLACK_TOKEN
from tests.reconciler.servers.smtp_server import SmtpServer, smtp_server
from tests.support import eventually_async

pytestmark = [pytest.mark.usefixtures("console"), pytest.mark.crash]

DATASETS = ("d-1", "d-2", "d-3")
WHOLE = {
    "changed": 3, "logs": 3, "batch_jobs": 6, "notifications": 6, "outbox": 18, "schedules": 1, "flags": 1,
}  # fmt: skip
POINTS = [
    # asking
    "jobtrail.reconciler.inquiry:Inquiry.ask:before:1",
    "jobtrail.reconciler.inquiry:Inquiry.ask:after:2",
    # the transaction, step by step
    "jobtrail.store.datasets.datasets:DatasetRepository.apply:before:1",
    "jobtrail.store.datasets.datasets:DatasetRepository._still_due:after:1",
    "pymongo.asynchronous.collection:AsyncCollection.insert_many:before:1",  # between the history and its log
    "jobtrail.store.datasets.datasets:_insert_missing:before:1",
    "jobtrail.store.datasets.datasets:_insert_missing:after:1",
    "jobtrail.store.datasets.datasets:_insert_missing:after:2",
    "jobtrail.store.datasets.datasets:DatasetRepository._clean_up:after:1",
    "jobtrail.store.datasets.datasets:_insert_missing:after:3",
    "jobtrail.store.datasets.datasets:DatasetRepository._write:after:1",
    # after the commit
    "jobtrail.store.datasets.datasets:DatasetRepository.apply:after:1",
    "jobtrail.store.notifications.outbox:OutboxRepository.insert:after:1",
    "jobtrail.store.leases.lease:Lease.release:before:1",
    # sending
    "jobtrail.store.notifications.outbox:OutboxRepository.claim:after:1",
    "jobtrail.store.notifications.outbox:OutboxRepository._claim_oldest_group:before:1",
    "jobtrail.store.notifications.outbox:OutboxRepository._claim_oldest_group:after:1",
    "jobtrail.store.notifications.outbox:OutboxRepository.claim_group:after:1",
    "jobtrail.reconciler.channels.slack:SlackChannel.send:after:1",
    "jobtrail.reconciler.channels.email:EmailChannel.send:after:1",
    "jobtrail.reconciler.channels.pusher:PusherChannel.send:after:1",
    "jobtrail.store.notifications.outbox:OutboxRepository.sent:before:1",
    "jobtrail.store.notifications.outbox:OutboxRepository.sent:after:1",
    "jobtrail.store.notifications.outbox:OutboxRepository.sent:after:3",
]


@dataclass(slots=True)
class World:
    """Everybody outside, and how a process reaches them."""

    slack: SlackServer
    mail: SmtpServer
    pusher: PusherServer
    settings: Settings

    async def start(self, point: str = "", *arguments: str) -> asyncio.subprocess.Process:
        """Start the command in a process of its own, which dies at a point."""
        given = self.settings.model_dump(exclude_unset=True)
        secrets = {name: value.get_secret_value() for name, value in given.items() if isinstance(value, SecretStr)}
        own = {f"JOBTRAIL_{name.upper()}": str(value) for name, value in (given | secrets).items()}
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.reconciler.crash_process", *arguments,
            env={**os.environ, **own, "POINT": point},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    def slack_news(self) -> Counter[str]:
        """How often each dataset was told of on Slack, summaries aside."""
        told: Counter[str] = Counter()
        for text in self.slack.texts():
            if "complete" in text.lower() and "checked" not in text.lower():
                told.update(dataset_id for dataset_id in DATASETS if f"{dataset_id}" in text)
        return told

    def mail_keys(self) -> Counter[tuple[str, str]]:
        """How often each mail came, by recipient and Message-ID."""
        return Counter(
            (recipient, str(mail["Message-ID"]))
            for recipient, mail in zip(self.mail.recipients, self.mail.mails, strict=True)
        )

    def pusher_keys(self) -> Counter[tuple[str, str]]:
        """How often each event came, by channel and idempotency key."""
        return Counter((event["channel"], event["data"]["id"]) for event in self.pusher.events)


@pytest.fixture
async def world(
    asking: Settings, simulator: AnalyzerSimulator, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """Three datasets that the API calls complete, and a group with everything that can follow from that."""
    for place, value in HURRY.items():
        monkeypatch.setattr(*owner_and_name(place), value)
    group = bench.group(training_schedule="manual", is_manual_request=True, viewpoints=["front", "side"])
    bench.schedules.insert_one({"wishlist_to_group_id": group, "type": "once", "status": "scheduled"})
    for dataset_id in DATASETS:
        bench.dataset(dataset_id, group)
        simulator.add(dataset_id, Plan(pending_s=0, analyzing_s=0))
    async with slack_server() as slack, smtp_server() as mail, pusher_server() as pusher:
        channels = {
            "slack_url": slack.url,
            "slack_token": SecretStr(SLACK_TOKEN),
            "slack_channel": CHANNEL,
            "smtp_url": SecretStr(mail.url),
            "pusher_url": SecretStr(pusher.url),
        }
        yield World(slack, mail, pusher, asking.model_copy(update=channels))


async def run_until_all_is_sent(world: World, bench: Bench) -> None:
    """Run again and again, as a scheduler does, until nothing is left to send."""

    async def all_is_sent() -> bool:
        bench.let_leases_run_out()  # each time: what the dead one had asked of the database may be done after its death
        async with reconciler_parts(world.settings, CollectorRegistry()) as parts, parts.runner() as runner:
            with suppress(BusyError):
                await runner.run()
            await parts.dispatcher.drain(30)
        return bench.outbox.count_documents({"state": {"$ne": "sent"}}) == 0 and bench.effects() == WHOLE

    await eventually_async(all_is_sent)


@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_leaves_the_change_whole_or_absent_and_the_next_run_completes_it(
    world: World, bench: Bench, point: str
) -> None:
    process = await world.start(point)
    _, errors = await process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()
    assert bench.effects() in (NOTHING, WHOLE)
    await run_until_all_is_sent(world, bench)
    assert bench.effects() == WHOLE
    assert set(bench.statuses().values()) == {"Complete"}
    assert_everybody_heard(world)


def assert_everybody_heard(world: World) -> None:
    """Every message arrived; a send may have been repeated by the kill, with the same key in it."""
    mails, events, news = world.mail_keys(), world.pusher_keys(), world.slack_news()
    assert len(mails) == 6
    assert len({message_id for _, message_id in mails}) == 6
    assert len(events) == 9
    assert len({key for _, key in events}) == 9
    assert set(news) == set(DATASETS)
    # How many are repeated depends on how many were on their way on all channels together; none is more than once.
    assert max([*mails.values(), *events.values(), *world.slack.keys.values()]) <= 2


async def test_kills_at_any_moment_double_nothing(world: World, bench: Bench) -> None:
    for delay_s in (1.0, 1.3, 1.6, 2.0, 2.6):
        process = await world.start()
        await asyncio.sleep(delay_s)  # not a wait for a condition: the moment is what is tried out
        if process.returncode is None:
            process.kill()
        await process.communicate()
        bench.let_leases_run_out()
        assert bench.effects() in (NOTHING, WHOLE)
    await run_until_all_is_sent(world, bench)
    assert bench.effects() == WHOLE
    assert len(world.mail_keys()) == 6
    assert len(world.pusher_keys()) == 9


async def is_up(process: asyncio.subprocess.Process) -> None:
    """Wait until a service is at work: before that SIGTERM would just kill it."""
    assert process.stderr is not None
    async for line in process.stderr:
        if b"reconciler.sources" in line:
            return
    pytest.fail("the service ended before it was at work")


async def test_two_reconcilers_at_once_do_everything_once(world: World, bench: Bench) -> None:
    async def all_sent() -> bool:
        # Those of the datasets: how many runs there are, each with its summary, depends on the clock.
        return bench.outbox.count_documents({"state": "sent", "body.type": "news"}) == WHOLE["outbox"]

    processes = [await world.start("", "--watch") for _ in range(2)]
    try:
        await asyncio.gather(*(is_up(process) for process in processes))
        await eventually_async(all_sent)
    finally:
        for process in processes:
            process.terminate()
        results = [await process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], [errors.decode() for _, errors in results]
    assert bench.effects() == WHOLE
    once: dict[Any, int] = {**world.mail_keys(), **world.pusher_keys(), **world.slack.keys}
    assert set(once.values()) == {1}
    assert len(world.mail_keys()) == 6
    assert len(world.pusher_keys()) == 9
    assert world.slack_news() == Counter(DATASETS)
