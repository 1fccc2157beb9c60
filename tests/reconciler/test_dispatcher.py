"""The dispatcher: every message once, through crashes, outages and limits."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from jobtrail.models.notifications.outbox import OutboxState
from jobtrail.models.notifications.pusher_channels import dataset_channel, user_channel
from jobtrail.models.settings import ChannelName, Settings
from jobtrail.reconciler.channel_sender import retry_delay_s
from jobtrail.reconciler.channels.configured import channel_classes, channels_off, channels_on
from jobtrail.stack.mongod import Mongod
from jobtrail.store.database import Database
from jobtrail.store.notifications.outbox import OutboxRepository
from tests.reconciler.bench import Bench
from tests.reconciler.messages import dispatcher, dispatching, entry, failures, news, summary, with_channels
from tests.reconciler.servers.pusher_server import SECRET, PusherServer, pusher_server
from tests.reconciler.servers.slack_server import TOKEN, SlackServer, slack_server
from tests.reconciler.servers.smtp_server import SmtpServer, smtp_server
from tests.support import WAIT_S, eventually_async

SLACK, EMAIL, PUSHER = ChannelName.SLACK, ChannelName.EMAIL, ChannelName.PUSHER


@dataclass(slots=True)
class World:
    """The outside, the outbox, and the settings that join them."""

    settings: Settings
    database: Database
    outbox: OutboxRepository
    bench: Bench
    slack: SlackServer
    smtp: SmtpServer
    pusher: PusherServer

    async def states(self, channel: ChannelName | None = None) -> Counter[OutboxState]:
        entries = await self.outbox.entries(limit=1000)
        return Counter(one.state for one in entries if channel in (None, one.channel))

    async def all_sent(self, count: int) -> bool:
        return await self.states() == {OutboxState.SENT: count}

    async def let_time_pass(self, state: OutboxState) -> None:
        """Leases run out, or what waits for another try is due."""
        past = {"$set": {"not_before": datetime.now(UTC) - timedelta(seconds=1)}}
        await self.database.outbox.update_many({"state": state.value}, past)


@pytest.fixture
async def world(settings: Settings, database: Database, bench: Bench) -> AsyncIterator[World]:
    async with slack_server() as slack, smtp_server() as smtp, pusher_server() as pusher:
        on = with_channels(settings, slack=slack.url, smtp=smtp.url, pusher=pusher.url)
        yield World(on, database, OutboxRepository(database), bench, slack, smtp, pusher)


async def test_two_dispatchers_at_once_send_each_entry_once(world: World, database: Database) -> None:
    bodies = [news(f"ds-{number:03}") for number in range(40)]
    await world.outbox.insert([entry(channel, body) for body in bodies for channel in (EMAIL, PUSHER)])
    await world.outbox.insert(failures(12))
    async with (
        Database(world.settings.require_mongo_url(), world.settings.database) as other,
        dispatching(dispatcher(world.settings, database), dispatcher(world.settings, other)),
    ):
        await eventually_async(lambda: world.all_sent(92))
    assert Counter(event["data"]["id"] for event in world.pusher.events) == Counter(
        entry(PUSHER, b).key for b in bodies
    )
    assert len({mail["Message-ID"] for mail in world.smtp.mails}) == len(world.smtp.mails) == 40
    assert len(world.slack.messages) == 1


async def test_one_news_reaches_slack_email_and_both_private_channels(world: World, database: Database) -> None:
    body = news(failed=True)
    await world.outbox.insert([entry(channel, body) for channel in ChannelName])
    await world.outbox.insert([entry(PUSHER, body, recipient=user_channel("ada"))])
    async with dispatching(dispatcher(world.settings, database)):
        await eventually_async(lambda: world.all_sent(4))
    assert {event["channel"] for event in world.pusher.events} == {dataset_channel("ds-1"), user_channel("ada")}
    assert world.smtp.recipients == ["ada@example.org"]
    assert len(world.slack.messages) == 1


@pytest.mark.crash
@pytest.mark.parametrize("death", ["killed", "cancelled"])
async def test_a_crash_after_sending_repeats_the_message_once_with_the_same_key(
    world: World, database: Database, death: str
) -> None:
    await world.outbox.insert(failures(12))
    world.slack.holding = asyncio.Event()  # Slack has the message; the dispatcher does not know it yet
    if death == "killed":
        await crash_as_process(world)
    else:
        await crash_as_task(world, database)
    world.slack.holding.set()
    assert await world.states() == {OutboxState.SENDING: 12}
    await world.outbox.insert(failures(15))  # three more of the same cause come meanwhile
    await world.let_time_pass(OutboxState.SENDING)
    async with dispatching(dispatcher(world.settings, database)):
        await eventually_async(lambda: world.all_sent(15))
    assert sorted(world.slack.keys.values()) == [1, 2]
    first, *others = world.slack.messages
    again = next(one for one in others if one["metadata"] == first["metadata"])
    assert again == first


async def crash_as_process(world: World) -> None:
    settings = world.settings
    assert settings.slack_channel
    environment = os.environ | {
        "JOBTRAIL_MONGO_URL": settings.require_mongo_url(),
        "JOBTRAIL_DATABASE": settings.database,
        "JOBTRAIL_SLACK_URL": world.slack.url,
        "JOBTRAIL_SLACK_TOKEN": TOKEN,
        "JOBTRAIL_SLACK_CHANNEL": settings.slack_channel,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.reconciler.dispatch_process", env=environment
    )
    await eventually_async(lambda: has_messages(world.slack))
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def crash_as_task(world: World, database: Database) -> None:
    task = asyncio.create_task(dispatcher(world.settings, database).run(asyncio.Event()))
    await eventually_async(lambda: has_messages(world.slack))
    task.cancel()
    await asyncio.wait((task,))


async def has_messages(slack: SlackServer) -> bool:
    return bool(slack.messages)


async def test_when_told_to_stop_the_send_under_way_is_finished_and_the_rest_given_back(
    world: World, database: Database
) -> None:
    settings = world.settings.model_copy(update={"smtp_url": None, "pusher_url": None})
    await world.outbox.insert([*failures(2), *failures(2, cause="no disk", prefix="other")])
    world.slack.holding = asyncio.Event()
    async with dispatching(dispatcher(settings, database)):
        await eventually_async(lambda: has_messages(world.slack))
        asyncio.get_running_loop().call_later(0.2, world.slack.holding.set)
    assert await world.states() == {OutboxState.SENT: 2, OutboxState.WAITING: 2}
    waiting = await world.outbox.entries([OutboxState.WAITING])
    assert [one.attempts for one in waiting] == [0, 0]


async def test_a_stop_gives_back_what_was_claimed_and_not_tried(world: World, database: Database) -> None:
    settings = world.settings.model_copy(update={"slack_token": None, "pusher_url": None})
    await world.outbox.insert([entry(EMAIL, news(f"ds-{number}")) for number in range(3)])
    stop = asyncio.Event()
    (mail_channel,) = channels_on(settings)
    real_send = mail_channel.send

    async def send_and_ask_to_stop(envelopes: object) -> object:
        stop.set()
        return await real_send(envelopes)  # type: ignore[arg-type]

    mail_channel.send = send_and_ask_to_stop  # type: ignore[method-assign, assignment]
    await dispatcher(settings, database, channels=[mail_channel]).run(stop)
    assert await world.states() == {OutboxState.SENT: 1, OutboxState.WAITING: 2}
    assert {one.attempts for one in await world.outbox.entries([OutboxState.WAITING])} == {0}


async def test_pusher_down_is_told_once_and_the_rest_goes_on(world: World, database: Database) -> None:
    world.pusher.down = True
    bodies = [news(f"ds-{number}") for number in range(30)]
    await world.outbox.insert([entry(channel, body) for body in bodies for channel in (EMAIL, PUSHER)])

    async def all_say_that_it_is_back() -> bool:
        actions = [log["action"] for log in logs]
        return actions.count("outbox.channel_back") == actions.count("dataset.pusher_failed")

    with capture_logs() as logs:
        async with dispatching(dispatcher(world.settings, database), dispatcher(world.settings, database)):
            await eventually_async(lambda: has_messages(world.slack))
            await eventually_async(lambda: has_mails(world, 30))
            world.pusher.down = False
            await eventually_async(lambda: is_back(world, PUSHER, 30))
            await eventually_async(all_say_that_it_is_back)
    (alert,) = world.slack.texts()
    assert "Pusher does not take our events" in alert
    assert "the notifications in the application stand" in alert
    assert "Winter shoes" in alert
    told = [log for log in logs if log["action"] == "dataset.pusher_failed"]
    assert 1 <= len(told) <= 2, "once per dispatcher"
    assert told[0]["code"] == "503"
    assert told[0]["fallback"].startswith("the notifications in the application stand")
    assert not any(log["action"] in ("outbox.postponed", "outbox.given_up") for log in logs)


async def test_an_outage_is_told_with_each_dataset_once(world: World, database: Database) -> None:
    world.pusher.down = True
    users = [replace(entry(PUSHER, news()), recipient=user_channel(user)) for user in ("ada", "bob")]
    await world.outbox.insert([replace(one, key=f"ds-1:Complete:pusher:{one.recipient}") for one in users])
    with capture_logs() as logs:
        await dispatcher(world.settings, database).drain(30)
    (told,) = [log for log in logs if log["action"] == "dataset.pusher_failed"]
    assert told["dataset_ids"] == ["ds-1"]


async def test_what_pusher_takes_is_delivered_although_it_refuses_one_channel(world: World, database: Database) -> None:
    users = {user: replace(entry(PUSHER, news()), recipient=user_channel(user)) for user in ("ada", "bob", "cleo")}
    world.pusher.bad_channels = {user_channel("bob")}
    await world.outbox.insert([replace(one, key=f"ds-1:Complete:pusher:{user}") for user, one in users.items()])
    with capture_logs() as logs:
        await dispatcher(world.settings, database).drain(30)
    assert {event["channel"] for event in world.pusher.events} == {user_channel("ada"), user_channel("cleo")}
    (log,) = [log for log in logs if log["log_level"] == "error"]
    assert (log["action"], log["channel"], log["key"]) == ("outbox.given_up", "pusher", "ds-1:Complete:pusher:bob")
    assert user_channel("bob") in log["error"]
    assert not world.slack.messages, "Pusher itself is well"


async def has_mails(world: World, count: int) -> bool:
    return len(world.smtp.mails) == count


async def is_back(world: World, channel: ChannelName, count: int) -> bool:
    await world.let_time_pass(OutboxState.WAITING)
    return await world.states(channel) == {OutboxState.SENT: count}


async def test_slacks_own_outage_is_only_logged(world: World, database: Database) -> None:
    world.slack.answers += [web.json_response({"ok": False, "error": "token_revoked"}) for _ in range(3)]
    await world.outbox.insert([entry(SLACK)])
    registry = CollectorRegistry()

    async def outage_is(value: int) -> bool:
        return registry.get_sample_value("jobtrail_outbox_outage", {"channel": "slack"}) == value

    with capture_logs() as logs:
        async with dispatching(dispatcher(world.settings, database, registry)):
            await eventually_async(lambda: outage_is(1))
            await eventually_async(lambda: is_back(world, SLACK, 1))
            await eventually_async(lambda: outage_is(0))
    assert len([log for log in logs if log["action"] == "dataset.slack_failed"]) == 1
    assert len(world.slack.messages) == 1


async def test_a_refusal_is_given_up_at_once_visibly_and_can_be_tried_again(world: World, database: Database) -> None:
    world.smtp.recipient_answers = {"ada@example.org": "550 no such user"}
    await world.outbox.insert([entry(EMAIL)])
    registry = CollectorRegistry()
    with capture_logs() as logs:
        async with dispatching(dispatcher(world.settings, database, registry)):
            await eventually_async(lambda: has_state(world, OutboxState.FAILED))
            (given_up,) = await world.outbox.entries([OutboxState.FAILED])
            assert given_up.error is not None
            assert "550 no such user" in given_up.error
            world.smtp.recipient_answers = {}
            assert await world.outbox.retry() == 1
            await eventually_async(lambda: world.all_sent(1))
    (log,) = [log for log in logs if log["action"] == "outbox.given_up"]
    assert (log["log_level"], log["code"], log["channel"], log["attempt"]) == ("error", "550", "email", 1)
    assert log["dataset_ids"] == ["ds-1"]
    assert registry.get_sample_value("jobtrail_outbox_given_up_total", {"channel": "email"}) == 1
    assert registry.get_sample_value("jobtrail_outbox_sent_total", {"channel": "email"}) == 1


async def has_state(world: World, state: OutboxState) -> bool:
    return await world.states() == {state: 1}


async def test_what_fails_again_and_again_is_given_up_after_the_set_number(world: World, database: Database) -> None:
    world.smtp.recipient_answers = {"ada@example.org": "450 mailbox busy"}
    settings = world.settings.model_copy(update={"outbox_max_attempts": 3})
    await world.outbox.insert([entry(EMAIL)])

    async def is_given_up() -> bool:
        await world.let_time_pass(OutboxState.WAITING)
        return await has_state(world, OutboxState.FAILED)

    with capture_logs() as logs:
        async with dispatching(dispatcher(settings, database)):
            await eventually_async(is_given_up)
    tries = [(log["action"], log["attempt"]) for log in logs if log.get("channel") == "email"]
    assert tries == [("outbox.postponed", 1), ("outbox.postponed", 2), ("outbox.given_up", 3)]


async def test_a_message_whose_senders_died_each_time_is_given_up(world: World, database: Database) -> None:
    await world.outbox.insert([entry(EMAIL)])
    world.bench.outbox.update_one({}, {"$set": {"attempts": world.settings.outbox_max_attempts}})
    async with dispatching(dispatcher(world.settings, database)):
        await eventually_async(lambda: has_state(world, OutboxState.FAILED))
    assert not world.smtp.mails


def test_the_back_off_grows_up_to_an_hour_and_has_jitter() -> None:
    for attempts, bound in ((1, 5), (2, 15), (3, 45), (7, 3600), (1000, 3600)):
        delays = {retry_delay_s(attempts) for _ in range(50)}
        assert bound / 2 <= min(delays) < max(delays) <= bound


async def test_a_failed_attempt_is_put_off_by_the_back_off(world: World, database: Database) -> None:
    world.smtp.recipient_answers = {"ada@example.org": "450 mailbox busy"}
    await world.outbox.insert([entry(EMAIL)])
    world.bench.outbox.update_one({}, {"$set": {"attempts": 4}})

    async def is_put_off() -> bool:
        (one,) = await world.outbox.entries()
        return one.state is OutboxState.WAITING and one.attempts == 5

    async with dispatching(dispatcher(world.settings, database)):
        await eventually_async(is_put_off)
    (one,) = await world.outbox.entries()
    assert 150 < (one.not_before - datetime.now(UTC)).total_seconds() <= 405


async def test_a_rate_limit_pauses_the_channel_and_counts_as_no_attempt(world: World, database: Database) -> None:
    world.slack.answers.append(
        web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": "2"})
    )
    await world.outbox.insert([*failures(1), *failures(1, cause="no disk", prefix="other")])
    loop = asyncio.get_running_loop()
    started = loop.time()
    with capture_logs() as logs:
        async with dispatching(dispatcher(world.settings, database)):
            await eventually_async(lambda: world.all_sent(2))
    assert world.slack.at[0] - started >= 2, "Retry-After is obeyed"
    assert world.slack.at[1] - world.slack.at[0] >= 0.95, "one message per second"
    assert {one.attempts for one in await world.outbox.entries()} == {1}
    assert [log["wait_s"] for log in logs if log["action"] == "outbox.rate_limited"] == [2.0]


async def test_a_defect_that_one_message_shows_does_not_stop_the_others(
    world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobtrail.reconciler.channels import pusher

    real_event = pusher.event

    def broken_event(envelope: object, told: object) -> object:
        if getattr(told, "dataset_id", "") == "ds-1":
            raise ZeroDivisionError
        return real_event(envelope, told)  # type: ignore[arg-type]

    monkeypatch.setattr(pusher, "event", broken_event)
    await world.outbox.insert([entry(PUSHER, news(f"ds-{number}")) for number in range(3)])
    with capture_logs() as logs:
        async with dispatching(dispatcher(world.settings, database)):
            await eventually_async(lambda: has_states(world, {OutboxState.SENT: 2, OutboxState.WAITING: 1}))
    assert {event["data"]["dataset_id"] for event in world.pusher.events} == {"ds-0", "ds-2"}
    assert any(log["action"] == "outbox.defect" for log in logs)


async def has_states(world: World, states: dict[OutboxState, int]) -> bool:
    return await world.states() == states


async def test_entries_of_a_channel_that_is_off_wait(world: World, database: Database) -> None:
    settings = world.settings.model_copy(update={"pusher_url": None})
    await world.outbox.insert([entry(PUSHER), entry(EMAIL)])
    registry = CollectorRegistry()

    async def is_counted() -> bool:
        waiting = {"channel": "pusher", "state": "waiting"}
        return registry.get_sample_value("jobtrail_outbox_entries", waiting) == 1

    async with dispatching(dispatcher(settings, database, registry)):
        await eventually_async(lambda: has_states(world, {OutboxState.SENT: 1, OutboxState.WAITING: 1}))
        await eventually_async(is_counted)
    assert not world.pusher.events


def test_every_channel_has_a_class_in_the_module_of_its_name() -> None:
    assert [kind.name for kind in channel_classes()] == list(ChannelName)


def test_a_channel_that_is_off_says_why(settings: Settings) -> None:
    assert channels_on(settings) == []
    assert channels_off(settings) == {
        SLACK: "JOBTRAIL_SLACK_TOKEN and JOBTRAIL_SLACK_CHANNEL are not set",
        EMAIL: "JOBTRAIL_SMTP_URL is not set",
        PUSHER: "JOBTRAIL_PUSHER_URL is not set",
    }


async def test_draining_sends_what_is_new_and_ends(world: World, database: Database) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    await world.outbox.insert([*failures(3), entry(EMAIL), entry(SLACK, summary())])
    world.bench.outbox.update_many({}, {"$set": {"not_before": soon}})
    await dispatcher(world.settings, database).drain(WAIT_S)
    assert await world.all_sent(5)


async def test_draining_leaves_what_fails_to_others_and_ends(world: World, database: Database) -> None:
    world.pusher.down = True
    world.smtp.recipient_answers = {"ada@example.org": "450 mailbox busy"}
    await world.outbox.insert([entry(EMAIL), entry(PUSHER), *failures(1)])
    async with asyncio.timeout(WAIT_S):
        await dispatcher(world.settings, database).drain(10 * WAIT_S)
    assert await world.states(EMAIL) == await world.states(PUSHER) == {OutboxState.WAITING: 1}
    assert (await world.states(SLACK))[OutboxState.SENT] >= 1


async def test_draining_ends_in_time(world: World, database: Database) -> None:
    await world.outbox.insert([entry(EMAIL)])
    world.bench.outbox.update_many({}, {"$set": {"not_before": datetime.now(UTC) + timedelta(hours=1)}})
    async with asyncio.timeout(WAIT_S):
        await dispatcher(world.settings, database).drain(0.2)
    assert await has_state(world, OutboxState.WAITING)


async def test_no_secret_reaches_the_log_the_outbox_or_an_alert(
    settings: Settings, database: Database, bench: Bench
) -> None:
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(slack_server())
        pusher = await stack.enter_async_context(pusher_server())
        smtp = await stack.enter_async_context(smtp_server(password="right-password"))
        secrets = ("wrong-password", "wrong-secret", TOKEN)
        on = with_channels(
            settings,
            slack=slack.url,
            smtp=f"smtp://ada:{secrets[0]}@127.0.0.1:{smtp.port}",
            pusher=pusher.url.replace(SECRET, secrets[1]),
        )
        outbox = OutboxRepository(database)
        await outbox.insert([entry(channel) for channel in ChannelName])

        async def both_alerts_came() -> bool:
            return len(slack.messages) == 3

        with capture_logs() as logs:
            async with dispatching(dispatcher(on, database)):
                await eventually_async(both_alerts_came)
    everything = repr(logs) + repr(list(bench.outbox.find())) + repr(slack.messages)
    assert "mail server: 535" in everything
    assert not [secret for secret in secrets if secret in everything]


async def test_dispatching_goes_on_after_the_database_was_away(own_mongod: Mongod, settings: Settings) -> None:
    async with smtp_server() as smtp:
        on = with_channels(settings, smtp=smtp.url)
        async with (
            Database(own_mongod.url, "jobtrail", timeout_s=1) as database,
            Database(own_mongod.url, "jobtrail", timeout_s=WAIT_S) as patient,
        ):
            await patient.ensure_indexes()
            with capture_logs() as logs:
                async with dispatching(dispatcher(on, database)):
                    await asyncio.to_thread(own_mongod.stop)

                    async def is_noticed() -> bool:
                        return any(log["action"] == "outbox.database_lost" for log in logs)

                    await eventually_async(is_noticed)
                    await asyncio.to_thread(own_mongod.start)
                    await OutboxRepository(patient).insert([entry(EMAIL)])
                    await eventually_async(lambda: came(smtp))


async def came(smtp: SmtpServer) -> bool:
    return len(smtp.mails) == 1
