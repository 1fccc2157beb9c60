"""A bad message never stops the good ones, and never disappears."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from jobtrail.broker.frames import RawProperties
from jobtrail.broker.properties import decode
from jobtrail.models.settings import Settings
from jobtrail.stack.rabbitmq import RabbitMq
from tests.consumer.conftest import Bench, ConsumerProcess, consuming
from tests.consumer.updates import update
from tests.support import eventually, eventually_async


def headers_of(table: bytes) -> bytes:
    """Raw properties with nothing but these headers."""
    return b"\x20\x00" + len(table).to_bytes(4, "big") + table


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
    assert [letter["reason"] for letter in letters] == [reason for reason, _body in BAD.values()]
    assert [whole_body(bench, letter) for letter in letters] == [body for _reason, body in BAD.values()]
    for number, letter in enumerate(letters):
        assert letter["origin"] == letter["origin_routing_key"] == settings.reply_stream
        assert letter["origin_seq"] == 2 * number + 2
        assert letter["error"]


def whole_body(bench: Bench, letter: Any) -> bytes:
    """A letter's body; a large one is stored in parts."""
    parts = bench.database["dead_letter_parts"].find({"letter": letter["_id"]}).sort("number", 1)
    return letter.get("body", b"") + b"".join(part["data"] for part in parts)


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
    (letter,) = bench.dead_letters()
    assert letter["reason"] == "unstorable"
    assert letter["body"] == bodies[13]
    assert bench.job("j")["event_count"] == len(words)


async def test_letters_keep_the_properties_they_came_with(bench: Bench, settings: Settings) -> None:
    bench.publish(b"{", message_id="m-1", correlation_id="c-1", headers={"theirs": 1}, expiration="60000", type="t")

    async with consuming(settings):
        (letter,) = await eventually_async(lambda: asyncio.to_thread(bench.dead_letters))

    properties = decode(letter["properties"])
    assert (properties.message_id, properties.correlation_id, properties.type) == ("m-1", "c-1", "t")
    assert properties.expiration == "60000"
    assert properties.headers == {"theirs": 1}


async def test_bad_messages_are_put_away_while_the_broker_takes_no_messages(
    own_rabbitmq: RabbitMq, settings: Settings
) -> None:
    settings = settings.model_copy(update={"amqp_url": SecretStr(own_rabbitmq.url)})
    bench = Bench(settings)
    bench.publish(b"bad", *(update("j", "processing", f"good {number}") for number in range(200)))
    await asyncio.to_thread(own_rabbitmq.control, "set_vm_memory_high_watermark", "0.0001")

    async with consuming(settings):
        await eventually_async(lambda: count(bench, 200))

    assert [letter["body"] for letter in bench.dead_letters()] == [b"bad"]
    await asyncio.to_thread(own_rabbitmq.control, "set_vm_memory_high_watermark", "0.4")
    bench.close()


POISON: dict[str, bytes] = {
    "a header of 130,900 bytes": headers_of(b"\x01hS" + (130_900).to_bytes(4, "big") + b"h" * 130_900),
    "a header's name that is not UTF-8": headers_of(b"\x02\xff\xfeS\0\0\0\x01x"),
    "a header's text that is not UTF-8": headers_of(b"\x01nS\0\0\0\x02\xff\xfe"),
    "a time behind all calendars": headers_of(b"\x01tT\x7f" + b"\xff" * 7),
    "types of numbers that pika does not know": headers_of(b"\x01aB\xff\x01bu\xff\xff\x01ci\xff\xff\xff\xff"),
    "a message id that is not UTF-8": b"\x00\x80\x02\xff\xfe",
    "a correlation id of 255 bytes": b"\x04\x00\xff" + b"\xfe" * 255,
    "a time in the properties behind all calendars": b"\x00\x40" + b"\x7f" + b"\xff" * 7,
}


@pytest.mark.parametrize("body", [b"{", update("j", "processing", "well")], ids=["bad body", "good body"])
async def test_no_properties_stop_what_is_behind_them(bench: Bench, settings: Settings, body: bytes) -> None:
    bench.publish()
    for raw in POISON.values():
        bench.channel.basic_publish("", settings.reply_stream, body, RawProperties(raw))
    bench.publish(update("end", "done", "behind"))

    async with consuming(settings):
        await eventually_async(lambda: asyncio.to_thread(lambda: "behind" in bench.messages()))

    stored = len(bench.events()) - 1 + len(bench.dead_letters())
    assert stored == len(POISON)


async def test_a_backlog_of_large_bodies_does_not_fill_the_memory(
    bench: Bench, settings: Settings, consumer_process: Any
) -> None:
    bodies = 100
    bench.publish(*(update(str(uuid4()), "processing", "z" * 900_000) for _ in range(bodies)))
    bench.publish(*(b"{" + b"z" * HUGE for _ in range(10)))
    consumer: ConsumerProcess = consumer_process(settings)
    consumer.start()

    eventually(lambda: bench.database["extractions"].count_documents({}) == bodies, 60)
    eventually(lambda: bench.database["dead_letters"].count_documents({}) == 10, 60)

    assert consumer.peak_memory_mb() < 200


async def count(bench: Bench, number: int) -> bool:
    return bench.database["extractions"].count_documents({}) == number
