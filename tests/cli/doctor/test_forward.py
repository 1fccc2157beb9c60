"""What `jobtrail doctor` says of the forwarder."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from jobtrail.cli.doctor.checks import Check, CheckOutcome
from jobtrail.cli.doctor.forward import check_forward
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.log.log import StreamPosition
from tests.support import Names


@pytest.fixture
def channel(amqp_url: str) -> Iterator[BlockingChannel]:
    """A channel of the test's own."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        yield connection.channel()


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The trail's database."""
    async with Database(settings.require_mongo_url(), settings.database) as database:
        yield database


@pytest.fixture
def forwarding(settings: Settings, names: Names) -> Settings:
    """Settings with a target and two streams."""
    return settings.model_copy(update={"forward_to": names.queue("target"), "reply_partitions": 2})


async def move(database: Database, reader: str, stream: str, offset: int) -> None:
    """Store the position of a reader in a stream."""
    of_reader = StreamPosition(database, f"{reader} {stream}", stream)
    position = await of_reader.position()
    await of_reader.move(position, replace(position, offset=offset, received_at=datetime.now(UTC)))
    await of_reader.close()


async def only_check(settings: Settings, database: Database) -> Check:
    [check] = await check_forward(settings, database)
    return check


async def test_nothing_is_checked_where_nothing_is_forwarded(settings: Settings, database: Database) -> None:
    assert await check_forward(settings, database) == []


async def test_a_missing_target_is_told(forwarding: Settings, database: Database) -> None:
    check = await only_check(forwarding, database)

    assert (check.outcome, check.found) == (CheckOutcome.WARNING, f"{forwarding.forward_to} does not exist")
    assert "JOBTRAIL_FORWARD_TO" in check.advice


async def test_a_forwarder_that_never_ran_is_told(
    channel: BlockingChannel, database: Database, forwarding: Settings
) -> None:
    channel.queue_declare(forwarding.forward_to or "", durable=True)
    await move(database, "stream", forwarding.reply_streams[0], 9)
    await move(database, "forward other", forwarding.reply_streams[0], 9)

    check = await only_check(forwarding, database)

    assert check.outcome is CheckOutcome.WARNING
    assert check.found == f"nothing was copied to {forwarding.forward_to} yet"
    assert "jobtrail forward" in check.advice


@pytest.mark.parametrize(
    ("stored", "copied", "outcome", "words"),
    [
        ((9, 4), (9, 4), CheckOutcome.OK, "has every stored update"),
        ((9, 4), (9, 7), CheckOutcome.OK, "has every stored update"),
        ((9, 4), (8, 7), CheckOutcome.OK, "1 stored update is not copied yet"),
        ((9, 4), (9, None), CheckOutcome.OK, "5 stored updates are not copied yet"),
        ((20_000, 4), (9, 4), CheckOutcome.WARNING, "19,991 stored updates are not copied yet"),
    ],
)
async def test_how_far_it_is_behind_the_consumer_is_told(
    channel: BlockingChannel,
    database: Database,
    forwarding: Settings,
    stored: tuple[int, int],
    copied: tuple[int, int | None],
    outcome: CheckOutcome,
    words: str,
) -> None:
    channel.queue_declare(forwarding.forward_to or "", durable=True)
    for stream, consumers, ours in zip(forwarding.reply_streams, stored, copied, strict=True):
        await move(database, "stream", stream, consumers)
        if ours is not None:
            await move(database, "forward forward", stream, ours)

    check = await only_check(forwarding, database)

    assert check.outcome is outcome
    assert words in check.found
    assert (forwarding.forward_to or "") in check.found
