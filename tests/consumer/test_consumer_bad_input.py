"""A bad message never stops the good ones, and never disappears."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from models.settings import Settings
from tests.consumer.conftest import Bench, ConsumerProcess, consuming
from tests.consumer.updates import update
from tests.support import eventually, eventually_async, messages_waiting

HUGE = 20 * 1024 * 1024

BAD: dict[str, tuple[str, bytes]] = {
    "empty body": ("empty", b""),
    "white space": ("empty", b" \n"),
    "not JSON": ("not_json", b"StatusMessage.start: Started processing."),
    "cut-off JSON": ("not_json", update("j", "start", "x")[:-5]),
    "binary": ("not_json", bytes(range(256))),
    "half a surrogate pair": ("not_json", update("j", "start", "\ud800")),
    "nested 1,000 deep": ("too_deep", b'{"a":' * 1000 + b"1" + b"}" * 1000),
    "an array": ("not_object", b"[]"),
    "a number": ("not_object", b"1"),
    "null": ("not_object", b"null"),
    "no file": ("missing_field", update("j", "start", "x", file_id=...)),
    "no extractor": ("missing_field", update("j", "start", "x", extractor_id=...)),
    "blank extractor": ("missing_field", update("j", "start", "x", extractor_id=" ")),
    "no status": ("missing_field", update("j", "start", "x", status=...)),
    "no time": ("missing_field", update("j", "start", "x", start=...)),
    "file of a wrong type": ("wrong_type", update("j", "start", "x", file_id={"$oid": "5cb2"})),
    "job of a wrong type": ("wrong_type", update(17, "start", "x")),
    "status of a wrong type": ("wrong_type", update("j", "start", "x", status=["start"])),
    "message of a wrong type": ("wrong_type", update("j", "start", "x", message={"$gt": ""})),
    "time of a wrong type": ("wrong_type", update("j", "start", "x", start=1763770476)),
    "percent of a wrong type": ("wrong_type", update("j", "start", "x", percent=True)),
    "job id too long": ("out_of_range", update("j" * 129, "start", "x")),
    "sequence past 64 bits": ("out_of_range", update("j", "start", "x", sequence=2**64)),
    "percent past 100": ("out_of_range", update("j", "start", "x", percent=101)),
    "percent that is no number": ("out_of_range", update("j", "start", "x", percent=float("nan"))),
    "impossible time": ("bad_time", update("j", "start", "x", start="2026-02-30T25:00:00-00:00")),
    "time before the calendar": ("bad_time", update("j", "start", "x", start="0001-01-01T00:00:00+14:00")),
    "20 MB": ("too_large", update("j", "processing", "x" * HUGE)),
}

ODD_BUT_GOOD: dict[str, bytes] = {
    "NUL characters": update("odd", "processing", "a\0b", user_id="u\0"),
    "integers past 64 bits in unknown fields": update("odd", "processing", "big", more=2**70),
    "nested unknown fields": update("odd", "processing", "nested", more=[[[{"$where": {"a.b": 1}}]]]),
    "field names that MongoDB dislikes": update("odd", "processing", "names", **{"$set": 1, "a.b": 2, "\0": 3}),
    "a job id that looks like a query": update('{"$ne": null}', "processing", "query"),
    "a megabyte of text": update("odd", "processing", "y" * 1_000_000),
    "right-to-left marks": update("odd", "processing", "\u202eevil\u202c"),
}


async def test_bad_messages_go_to_the_dead_letters_with_reason_and_bytes_while_the_good_ones_are_stored(
    bench: Bench, settings: Settings
) -> None:
    good = [f"good {number}" for number in range(len(BAD) + 1)]
    bench.publish(update("j", "processing", good[0]))
    for (_reason, body), words in zip(BAD.values(), good[1:], strict=True):
        bench.publish(body)
        bench.publish(update("j", "processing", words))

    async with consuming(settings):
        await eventually_async(lambda: count(bench, len(good)))

    assert bench.messages() == good
    letters = bench.dead_letters()
    assert [(headers["jobtrail-reason"], body) for headers, body in letters] == list(BAD.values())
    for headers, _body in letters:
        assert headers["jobtrail-queue"] == headers["jobtrail-routing-key"] == settings.reply_queue
        assert headers["jobtrail-exchange"] == ""
        assert headers["jobtrail-error"]
        assert headers["jobtrail-received-at"].endswith("+00:00")


async def test_odd_but_good_messages_are_stored(bench: Bench, settings: Settings) -> None:
    bench.publish(*ODD_BUT_GOOD.values())

    async with consuming(settings):
        await eventually_async(lambda: count(bench, len(ODD_BUT_GOOD)))

    assert bench.messages() == [json.loads(body)["message"] for body in ODD_BUT_GOOD.values()]
    assert bench.job('{"$ne": null}')["event_count"] == 1
    assert bench.dead_letters() == []


async def test_a_document_that_the_database_refuses_is_found_and_dead_lettered_alone(
    bench: Bench, settings: Settings
) -> None:
    bench.database.create_collection("extractions", validator={"message": {"$ne": "forbidden"}})
    words = [f"good {number}" for number in range(20)]
    bodies = [update("j", "processing", word) for word in words]
    bodies.insert(13, update("j", "processing", "forbidden"))
    bench.publish(*bodies)

    async with consuming(settings):
        await eventually_async(lambda: count(bench, len(words)))

    assert bench.messages() == words
    ((headers, body),) = bench.dead_letters()
    assert headers["jobtrail-reason"] == "unstorable"
    assert body == bodies[13]
    assert bench.job("j")["event_count"] == len(words)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_letters_keep_the_properties_they_came_with(
    bench: Bench, settings: Settings, kind: str, names: Any
) -> None:
    queue = names.queue("made-before")
    bench.channel.queue_declare(queue, durable=True, arguments={"x-queue-type": kind})
    theirs = settings.model_copy(update={"reply_queue": queue})
    bench.settings = theirs
    bench.publish(b"{", message_id="m-1", correlation_id="c-1", headers={"theirs": 1}, expiration="60000", type="t")

    async with consuming(theirs):
        method, properties, body = await eventually_async(lambda: taken(bench))

    assert method is not None
    assert body == b"{"
    assert (properties.message_id, properties.correlation_id, properties.type) == ("m-1", "c-1", "t")
    assert properties.headers["theirs"] == 1
    assert properties.expiration is None


@pytest.mark.parametrize("message_id", ["its own", None])
async def test_letters_are_not_lost_where_their_queue_is_deleted_under_the_consumer(
    bench: Bench, settings: Settings, message_id: str | None
) -> None:
    async with consuming(settings):
        bench.publish(update("j", "start", "good"))
        await eventually_async(lambda: asyncio.to_thread(lambda: bench.messages() == ["good"]))
        bench.channel.queue_delete(settings.dead_letter_queue)
        bench.publish(b"first", b"second", message_id=message_id)
        bench.disconnect()
        await letters_wait(settings, 2)
    assert sorted(body for _headers, body in bench.dead_letters()) == [b"first", b"second"]


async def letters_wait(settings: Settings, count: int) -> None:
    """Wait for so many messages in the dead-letter queue."""

    async def they_wait() -> bool:
        waiting = await asyncio.to_thread(messages_waiting, settings.require_amqp_url(), settings.dead_letter_queue)
        return waiting == count

    await eventually_async(they_wait)


async def test_a_backlog_of_large_bodies_does_not_fill_the_memory(
    bench: Bench, settings: Settings, consumer_process: Any
) -> None:
    bodies = 100
    bench.publish(*(update(str(uuid4()), "processing", "z" * 900_000) for _ in range(bodies)))
    bench.publish(*(b"{" + b"z" * HUGE for _ in range(10)))
    consumer: ConsumerProcess = consumer_process(settings)
    consumer.start()

    eventually(lambda: bench.database["extractions"].count_documents({}) == bodies, 60)
    eventually(lambda: letter_count(bench) == 10, 60)

    assert consumer.peak_memory_mb() < 200


def letter_count(bench: Bench) -> int:
    return bench.channel.queue_declare(bench.settings.dead_letter_queue, passive=True).method.message_count


async def taken(bench: Bench) -> Any:
    answer = bench.channel.basic_get(bench.settings.dead_letter_queue, auto_ack=True)
    return answer if answer[0] is not None else False


async def count(bench: Bench, number: int) -> bool:
    return bench.database["extractions"].count_documents({}) == number
