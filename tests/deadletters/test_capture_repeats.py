"""A message that comes again without an id is never lost; where it may be a repetition, it is marked."""

import asyncio
import random
import signal
import threading
import time
from collections import Counter

import pika
import pytest
from pydantic import SecretStr

from jobtrail.models.settings import Settings
from tests.deadletters.conftest import Document, LetterBench, MakeProcess, running
from tests.support import Names, eventually, messages_waiting
from tests.tcp_proxy import TcpProxy

PERSISTENT = pika.BasicProperties(delivery_mode=2)


@pytest.fixture(params=["quorum", "classic"])
def queue(request: pytest.FixtureRequest, names: Names, bench: LetterBench) -> str:
    """Somebody's dead-letter queue."""
    queue = names.queue("theirs")
    bench.channel.queue_declare(queue, durable=True, arguments={"x-queue-type": request.param})
    return queue


def capturing(settings: Settings, queue: str, **changes: object) -> Settings:
    return settings.model_copy(update={"capture_queues": queue, **changes})


def by_way_of(proxy: TcpProxy, settings: Settings) -> Settings:
    return settings.model_copy(update={"amqp_url": SecretStr(proxy.url)})


def publish(bench: LetterBench, queue: str, *bodies: bytes, properties: pika.BasicProperties = PERSISTENT) -> None:
    for body in bodies:
        bench.channel.basic_publish("", queue, body, properties)


def marked(letters: list[Document]) -> list[Document]:
    return [letter for letter in letters if "maybe_repeated" in letter]


def at_least(bench: LetterBench, count: int) -> list[Document]:
    """Wait for so many letters."""

    def letters() -> list[Document]:
        found = bench.letters()
        assert len(found) >= count, f"{len(found)} of {count} letters"
        return found

    return eventually(letters)


def assert_whole_and_marked(letters: list[Document], published: Counter[bytes]) -> None:
    """All that was published is there, and what is there beyond that is marked, with a link to an equal letter."""
    assert Counter(bytes(letter["body"]) for letter in letters) >= published
    first = {str(letter["_id"]): bytes(letter["body"]) for letter in letters if "maybe_repeated" not in letter}
    assert Counter(first.values()) <= published
    for letter in marked(letters):
        assert first[letter["maybe_repeated"]] == bytes(letter["body"])


def test_of_six_that_come_again_after_three_were_stored_three_are_marked(
    settings: Settings, queue: str, bench: LetterBench, letters_process: MakeProcess
) -> None:
    settings = capturing(settings, queue)
    with TcpProxy(settings.require_amqp_url()) as proxy:
        first = letters_process(by_way_of(proxy, settings))
        first.start()
        eventually(lambda: consumers(bench, queue) == 1)
        proxy.freeze(to_client=False)  # no acknowledgement arrives
        publish(bench, queue, *[b"same"] * 3)
        at_least(bench, 3)
        first.signal(signal.SIGSTOP)
        publish(bench, queue, *[b"same"] * 3)  # handed out, and not stored
        eventually(lambda: messages_waiting(settings.require_amqp_url(), queue) == 0)
        first.kill()
    letters_process(settings).start()
    letters = at_least(bench, 9)

    assert len(letters) == 9
    assert [letter["seq"] for letter in letters] == list(range(1, 10))
    firsts = {str(letter["_id"]) for letter in letters[:3]}
    assert {letter["maybe_repeated"] for letter in marked(letters)} == firsts
    assert len(marked(letters)) == 3
    eventually(lambda: messages_waiting(settings.require_amqp_url(), queue) == 0)


def consumers(bench: LetterBench, queue: str) -> int:
    return int(bench.channel.queue_declare(queue, passive=True).method.consumer_count)


def test_equal_letters_are_whole_when_whoever_captures_is_killed_again_and_again(
    settings: Settings, queue: str, bench: LetterBench, letters_process: MakeProcess, random_moments: random.Random
) -> None:
    settings = capturing(settings, queue)
    process = letters_process(settings)
    bodies = [body for number in range(5) for body in [b"round %d" % number] * 12]
    load = threading.Thread(target=trickle, args=(settings, queue, bodies), daemon=True)
    process.start()
    load.start()
    while load.is_alive():
        time.sleep(random_moments.uniform(0.02, 0.4))  # the moment itself is what is tested
        process.kill()
        process.start()
    at_least(bench, len(bodies))
    eventually(lambda: messages_waiting(settings.require_amqp_url(), queue) == 0)

    assert_whole_and_marked(bench.letters(), Counter(bodies))


def trickle(settings: Settings, queue: str, bodies: list[bytes]) -> None:
    with pika.BlockingConnection(pika.URLParameters(settings.require_amqp_url())) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for body in bodies:
            channel.basic_publish("", queue, body, PERSISTENT)
            time.sleep(0.1)


@pytest.mark.parametrize("broken", ["to_server", "to_client"])
async def test_a_connection_that_breaks_in_one_direction_loses_no_equal_letter(
    settings: Settings, names: Names, bench: LetterBench, broken: str
) -> None:
    queue = names.queue("theirs")
    bench.channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    settings = capturing(settings, queue)
    with TcpProxy(settings.require_amqp_url()) as proxy:
        async with running(by_way_of(proxy, settings), consumer=False):
            await asyncio.to_thread(publish, bench, queue, *[b"same"] * 3)
            await asyncio.to_thread(at_least, bench, 3)
            proxy.freeze(to_server=broken == "to_server", to_client=broken == "to_client")
            await asyncio.to_thread(publish, bench, queue, *[b"same"] * 9)
            letters = await asyncio.to_thread(at_least, bench, 12)
    assert_whole_and_marked(letters, Counter([b"same"] * 12))


def test_a_letter_that_has_an_id_is_stored_once_however_often_it_comes(
    settings: Settings, queue: str, bench: LetterBench, letters_process: MakeProcess
) -> None:
    settings = capturing(settings, queue)
    named = pika.BasicProperties(delivery_mode=2, message_id="an id")
    with TcpProxy(settings.require_amqp_url()) as proxy:
        first = letters_process(by_way_of(proxy, settings))
        first.start()
        eventually(lambda: consumers(bench, queue) == 1)
        proxy.freeze(to_client=False)
        publish(bench, queue, b"named", properties=named)
        at_least(bench, 1)
        first.kill()
    publish(bench, queue, b"the next one")
    letters_process(settings).start()
    letters = at_least(bench, 2)

    assert [bytes(letter["body"]) for letter in letters] == [b"named", b"the next one"]
    tally = bench.database["tallies"].find_one({"queue": queue})
    assert tally is not None
    assert (tally["handed_out"], tally["stored"], tally["duplicates"]) == (3, 2, 1)


def test_what_an_earlier_version_stored_without_an_answer_is_marked_when_it_comes_again(
    settings: Settings, queue: str, bench: LetterBench, letters_process: MakeProcess
) -> None:
    settings = capturing(settings, queue)
    with TcpProxy(settings.require_amqp_url()) as proxy:
        first = letters_process(by_way_of(proxy, settings))
        first.start()
        eventually(lambda: consumers(bench, queue) == 1)
        proxy.freeze(to_client=False)
        publish(bench, queue, b"one", b"another")
        at_least(bench, 2)
        first.kill()
    bench.database["dead_letters"].update_many({}, {"$unset": {"fingerprint": ""}})
    bench.database["positions"].delete_many({})
    letters_process(settings).start()
    letters = at_least(bench, 4)

    assert [letter["seq"] for letter in letters] == [1, 2, 3, 4]
    firsts = [str(letter["_id"]) for letter in letters[:2]]
    assert [letter.get("maybe_repeated") for letter in letters] == [None, None, *firsts]
