"""The outbox's store: claims, leases, groups, and what becomes of entries."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobtrail.models.notifications.outbox import Envelope, OutboxEntry, OutboxState
from jobtrail.models.settings import ChannelName
from jobtrail.store.database import Database, from_now
from jobtrail.store.leases.lease import Lease
from jobtrail.store.notifications.documents import entry_document, entry_from
from jobtrail.store.notifications.outbox import OutboxRepository
from tests.reconciler.bench import Bench
from tests.reconciler.messages import alert, entry, failures, news, summary

LEASE_S = 60.0
SLACK, EMAIL, PUSHER = ChannelName.SLACK, ChannelName.EMAIL, ChannelName.PUSHER


@pytest.fixture
def outbox(database: Database) -> OutboxRepository:
    return OutboxRepository(database)


def mails(count: int) -> list[OutboxEntry]:
    return [entry(EMAIL, news(f"ds-{number:03}")) for number in range(count)]


def let_all_be_due(bench: Bench) -> None:
    bench.outbox.update_many({"state": "waiting"}, {"$set": {"not_before": datetime.now(UTC) - timedelta(seconds=1)}})


async def one(outbox: OutboxRepository, channel: ChannelName = EMAIL) -> Envelope:
    (envelope,) = await outbox.claim(channel, "a", lease_s=LEASE_S, limit=1)
    return envelope


def keys(envelopes: list[Envelope]) -> list[str]:
    return [entry.key for envelope in envelopes for entry in envelope.entries]


@pytest.mark.parametrize(
    "body",
    [
        news(failed=True, batch_jobs={"front.view": "job-1", "$back": "job-2"}),
        alert(dataset_ids=["a", "b"], wishlists=["W"]),
        summary(halted="database away"),
    ],
)
async def test_an_entry_is_read_as_it_was_stored(outbox: OutboxRepository, body: object) -> None:
    stored = entry(SLACK, body)  # type: ignore[arg-type]
    await outbox.insert([stored])
    (read,) = await outbox.entries()
    assert read.body == body or entry_document(read) == entry_document(stored)
    assert entry_document(read) == entry_document(stored)
    assert entry_from(entry_document(stored)) == stored


async def test_an_existing_key_is_left_alone_and_the_others_are_inserted(outbox: OutboxRepository) -> None:
    first, second = mails(2)
    await outbox.insert([first])
    await outbox.sent([await one(outbox)])
    await outbox.insert([replace(first, recipient="eve@example.org"), second])
    states = {read.key: (read.state, read.recipient) for read in await outbox.entries()}
    assert states == {
        first.key: (OutboxState.SENT, "ada@example.org"),
        second.key: (OutboxState.WAITING, "ada@example.org"),
    }


async def test_only_what_is_due_is_claimed_oldest_first_and_no_more_than_asked(outbox: OutboxRepository) -> None:
    due = [replace(mail, not_before=mail.not_before - timedelta(hours=number)) for number, mail in enumerate(mails(4))]
    later = replace(entry(EMAIL, news("later")), not_before=datetime.now(UTC) + timedelta(hours=1))
    await outbox.insert([*due, later, entry(PUSHER)])
    claimed = await outbox.claim(EMAIL, "a", lease_s=LEASE_S, limit=3)
    assert set(keys(claimed)) == {mail.key for mail in due[1:]}
    assert keys(await outbox.claim(EMAIL, "a", lease_s=LEASE_S, limit=9)) == [due[0].key]
    assert await outbox.claim(EMAIL, "a", lease_s=LEASE_S, limit=9) == []


async def test_several_claimers_at_once_get_each_entry_once(outbox: OutboxRepository) -> None:
    await outbox.insert(mails(60))

    async def claim_all(holder: str) -> list[str]:
        claimed: list[str] = []
        while batch := await outbox.claim(EMAIL, holder, lease_s=LEASE_S, limit=7):
            claimed += keys(batch)
        return claimed

    claimed = [key for part in await asyncio.gather(*map(claim_all, "abcde")) for key in part]
    # A claimer that lost every race of one turn may have left early; what is left is still there to be claimed.
    claimed += await claim_all("f")
    assert Counter(claimed) == Counter(mail.key for mail in mails(60))


async def test_a_lease_that_ran_out_is_claimed_anew_with_the_same_key(outbox: OutboxRepository, bench: Bench) -> None:
    await outbox.insert(mails(1))
    first = await one(outbox)
    assert await outbox.claim(EMAIL, "b", lease_s=LEASE_S, limit=1) == []
    bench.let_leases_run_out()
    (second,) = await outbox.claim(EMAIL, "b", lease_s=LEASE_S, limit=1)
    assert second.key == first.key
    assert (first.attempts, second.attempts) == (1, 2)


async def test_who_lost_the_lease_changes_nothing_but_that_it_was_sent(outbox: OutboxRepository, bench: Bench) -> None:
    await outbox.insert(mails(1))
    first = await one(outbox)
    bench.let_leases_run_out()
    await one(outbox)
    await outbox.postpone(first, "late", 5)
    await outbox.give_up(first, "late")
    await outbox.give_back(first)
    (held,) = await outbox.entries()
    assert (held.state, held.attempts, held.error) == (OutboxState.SENDING, 2, None)
    await outbox.sent([first])
    (sent,) = await outbox.entries()
    assert sent.state is OutboxState.SENT
    assert sent.sent_at is not None
    bench.let_leases_run_out()
    assert await outbox.claim(EMAIL, "c", lease_s=LEASE_S, limit=1) == []


async def test_twelve_of_one_cause_are_one_message_and_other_causes_are_others(outbox: OutboxRepository) -> None:
    await outbox.insert([*failures(12), *failures(2, cause="no disk", prefix="other")])
    elsewhere = replace(failures(1, prefix="elsewhere")[0], recipient="C0OTHER")
    await outbox.insert([elsewhere])
    groups = []
    while claimed := await outbox.claim_group(SLACK, "a", lease_s=LEASE_S):
        groups += claimed
    assert sorted(len(group.entries) for group in groups) == [1, 2, 12]
    twelve = max(groups, key=lambda group: len(group.entries))
    assert {read.batch for read in await outbox.entries() if read.cause == "no images"} == {twelve.key, elsewhere.key}


async def test_several_claimers_at_once_do_not_split_a_group(outbox: OutboxRepository) -> None:
    await outbox.insert(failures(30))
    claims = await asyncio.gather(*(outbox.claim_group(SLACK, name, lease_s=LEASE_S) for name in "abcdef"))
    assert sorted(len(group.entries) for claimed in claims for group in claimed) == [30]


async def test_a_group_that_is_too_large_for_one_message_becomes_several(
    outbox: OutboxRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobtrail.store.notifications.outbox.GROUP_MAX", 5)
    await outbox.insert(failures(12))
    groups = [(await outbox.claim_group(SLACK, "a", lease_s=LEASE_S))[0] for _ in range(3)]
    assert [len(group.entries) for group in groups] == [5, 5, 2]
    assert len({group.key for group in groups}) == 3


async def test_a_message_that_is_claimed_again_has_the_same_entries(outbox: OutboxRepository, bench: Bench) -> None:
    await outbox.insert(failures(3))
    (first,) = await outbox.claim_group(SLACK, "a", lease_s=LEASE_S)
    await outbox.insert(failures(5))  # two more of the same cause come while it is on its way
    bench.let_leases_run_out()
    last = failures(3)[2].key  # another one than the first is now the oldest
    bench.outbox.update_one({"_id": last}, {"$set": {"not_before": datetime.now(UTC) - timedelta(hours=1)}})
    again = [*await outbox.claim_group(SLACK, "b", lease_s=LEASE_S), *await outbox.claim_group(SLACK, "b", lease_s=9)]
    assert {group.key: len(group.entries) for group in again} == {first.key: 3, failures(5)[3].key: 2}


async def test_what_a_claim_that_broke_off_had_bound_goes_out_with_the_same_message(
    outbox: OutboxRepository, bench: Bench
) -> None:
    oldest, *others = failures(5)
    oldest = replace(oldest, not_before=oldest.not_before - timedelta(hours=1))
    await outbox.insert([oldest, *others])
    later = datetime.now(UTC) + timedelta(hours=1)
    half = {"state": "sending", "holder": "dead/1", "batch": oldest.key, "not_before": later}
    bench.outbox.update_many({"_id": {"$in": [others[0].key, others[2].key]}}, {"$set": half})
    (group,) = await outbox.claim_group(SLACK, "a", lease_s=LEASE_S)
    assert group.key == oldest.key
    assert {one.key for one in group.entries} == {one.key for one in failures(5)}


async def test_a_claimer_that_was_killed_in_its_turn_holds_nobody_up_after_it(
    outbox: OutboxRepository, database: Database, bench: Bench
) -> None:
    await outbox.insert(failures(3))
    assert await Lease(database, "outbox slack").acquire() is None
    assert await outbox.claim_group(SLACK, "a", lease_s=LEASE_S) == []
    bench.let_leases_run_out()
    (group,) = await outbox.claim_group(SLACK, "a", lease_s=LEASE_S)
    assert len(group.entries) == 3


async def test_a_failed_attempt_waits_and_keeps_its_error_without_secrets(
    outbox: OutboxRepository, bench: Bench
) -> None:
    await outbox.insert(mails(1))
    await outbox.postpone(await one(outbox), "451 at smtp://ada:hunter2@mail $now", 30)
    (waiting,) = await outbox.entries([OutboxState.WAITING])
    assert waiting.error == "451 at smtp://ada:***@mail $now"
    assert waiting.attempts == 1
    assert 20 < (waiting.not_before - datetime.now(UTC)).total_seconds() < 31
    assert await outbox.claim(EMAIL, "a", lease_s=LEASE_S, limit=1) == []
    let_all_be_due(bench)
    assert (await one(outbox)).attempts == 2


async def test_what_was_not_tried_is_given_back_without_an_attempt(outbox: OutboxRepository) -> None:
    await outbox.insert(mails(1))
    await outbox.give_back(await one(outbox))
    assert (await one(outbox)).attempts == 1


async def test_what_was_given_up_is_seen_and_tried_again_when_asked_with_its_group(outbox: OutboxRepository) -> None:
    await outbox.insert([*failures(3), *mails(1)])
    (group,) = await outbox.claim_group(SLACK, "a", lease_s=LEASE_S)
    await outbox.give_up(group, "no")
    await outbox.give_up(await one(outbox), "no")
    assert len(await outbox.entries([OutboxState.FAILED])) == 4
    assert await outbox.backlog() == {(SLACK, OutboxState.FAILED): 3, (EMAIL, OutboxState.FAILED): 1}
    assert await outbox.retry([failures(3)[1].key]) == 3
    (again,) = await outbox.claim_group(SLACK, "a", lease_s=LEASE_S)
    assert (again.key, again.attempts, len(again.entries)) == (group.key, 1, 3)
    assert await outbox.retry() == 1
    assert (await one(outbox)).attempts == 1
    await outbox.sent([again])
    assert await outbox.retry([failures(3)[1].key]) == 0


async def test_an_entry_that_cannot_be_read_is_given_up_and_the_others_go_on(
    outbox: OutboxRepository, bench: Bench
) -> None:
    good, bad = mails(2)
    await outbox.insert([good, bad])
    bench.outbox.update_one({"_id": bad.key}, {"$set": {"body.type": "hologram"}})
    assert keys(await outbox.claim(EMAIL, "a", lease_s=LEASE_S, limit=9)) == [good.key]
    document = bench.outbox.find_one({"_id": bad.key})
    assert document is not None
    assert document["state"] == "failed"
    assert "hologram" in document["error"]


async def test_a_datasets_entries_are_listed(outbox: OutboxRepository) -> None:
    await outbox.insert([entry(EMAIL, news("ds-7")), entry(PUSHER, news("ds-7")), entry(EMAIL, news("ds-8"))])
    assert {read.channel for read in await outbox.of_dataset("ds-7")} == {EMAIL, PUSHER}


async def test_what_is_due_soon_is_told_and_what_is_put_off_is_not(outbox: OutboxRepository) -> None:
    await outbox.insert([entry(EMAIL, news("ds-7")), entry(PUSHER, news("ds-7"))])
    await outbox.postpone(await one(outbox, PUSHER), "no", 60)
    assert await outbox.has_due(EMAIL, within_s=1)
    assert not await outbox.has_due(PUSHER, within_s=1)
    assert await outbox.has_due(PUSHER, within_s=61)


async def test_what_is_due_is_found_by_the_index(database: Database, outbox: OutboxRepository) -> None:
    await outbox.insert(mails(50))
    for _ in range(5):
        await outbox.sent([await one(outbox)])
    due = {"state": {"$in": ["waiting", "sending"]}, "$expr": {"$lte": ["$not_before", from_now(0)]}}
    plan = await database.outbox.find({"channel": "slack", **due}).sort([("not_before", 1)]).explain()
    assert '"SORT"' not in str(plan["queryPlanner"]["winningPlan"]).replace("'", '"'), "a backlog is not sorted"
    stats = plan["executionStats"]
    assert stats["totalDocsExamined"] == 0, "an idle look reads no document"
    assert stats["totalKeysExamined"] <= 2
