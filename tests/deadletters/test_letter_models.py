"""What holds for any message, any edit and any sequence of acts."""

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pika
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as runs
from hypothesis import strategies as st

from jobtrail.broker.properties import changed, decode, encode
from jobtrail.deadletters.archive import export_line, read_lines
from jobtrail.deadletters.editing import masked_body, with_body, with_fields
from jobtrail.deadletters.outgoing import Unsendable, outgoing
from jobtrail.deadletters.properties import readable
from jobtrail.models.dead_letters.fingerprint import MAX_CAUSE_LENGTH, normalized_error
from jobtrail.models.errors import SettingError
from jobtrail.models.settings import Settings
from jobtrail.store.dead_letters.documents import letter_document, letter_from
from tests.deadletters.conftest import read

AT = datetime(2026, 11, 22, 0, 14, 36, tzinfo=UTC)
quick = runs(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

moments = st.integers(0, 253_402_300_799).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
decimals = st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(0, 20)).map(lambda t: Decimal(t[0]).scaleb(-t[1]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.binary(max_size=20).map(bytearray)
    | moments
    | decimals
)
field_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
tables = st.dictionaries(
    field_names | st.sampled_from(["base64", "time", "decimal", "table"]),
    st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(field_names, inner, max_size=3)),
    min_size=1,
    max_size=4,
)
short_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
all_properties = st.builds(
    pika.BasicProperties,
    content_type=st.none() | short_texts,
    headers=st.none() | tables,
    priority=st.none() | st.integers(0, 255),
    correlation_id=st.none() | short_texts,
    message_id=st.none() | short_texts,
    timestamp=st.none() | st.integers(0, 2**64 - 1),
    app_id=st.none() | short_texts,
)
any_header = st.recursive(
    scalars | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["queue", "reason", "count", "time"]), inner)
    ),
    max_leaves=8,
)
strange_headers = st.dictionaries(
    st.sampled_from(
        [
            "x-death",
            "jobtrail-reason",
            "jobtrail-queue",
            "jobtrail-error",
            "jobtrail-seq",
            "jobtrail-received-at",
            "jobtrail-letter",
            "jobtrail-replay",
            "other",
        ]
    ),
    any_header | st.sampled_from(["0001-01-01T00:00:00+14:00", "2026-11-22", "f" * 24, 2**63 - 1]),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["jobid", "job_id", "extractor_info", "name", "version", "retry_count", "id", "extractor_id"]
            ),
            inner,
        )
    ),
    max_leaves=8,
)
bodies = st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode("utf-8"))


@quick
@given(all_properties)
def test_properties_are_read_as_they_are_written(properties: pika.BasicProperties) -> None:
    raw = encode(properties)
    assert decode(raw) == properties
    assert changed(raw) == raw
    with_header = changed(raw, headers={"mine": "x"}, message_id="m")
    assert changed(with_header, headers={"mine": None}, message_id=properties.message_id) == (
        changed(raw, headers={"mine": None})
    )


@quick
@given(st.binary(max_size=200))
def test_reading_properties_never_fails_whatever_the_bytes_are(raw: bytes) -> None:
    json.dumps(readable(decode(raw)))
    again = changed(raw, headers={"mine": 1}, delivery_mode=2)
    assert (decode(again).headers or {})["mine"] == 1


@quick
@given(bodies, strange_headers, st.sampled_from(["error.worker", "jobtrail.dead-letters"]))
def test_any_message_becomes_a_letter_that_can_be_stored_and_sent(
    body: bytes, headers: dict[str, Any], queue: str
) -> None:
    letter = read(body, encode(pika.BasicProperties(headers=headers)), queue)
    assert letter_from(letter_document(letter)).cause == letter.cause
    assert 0 < letter.deaths < 2**63
    assert letter.origin_seq is None or 0 < letter.origin_seq < 2**63
    assert letter.happened_at.tzinfo is not None
    sent = outgoing(letter, replay_id="r", who="w", target="t", settings=Settings(), correlation_id=None)
    if isinstance(sent, Unsendable):
        assert "inf" in repr(headers["other"]), "only a float that is no number keeps it here"
        return
    kept = decode(sent.properties).headers or {}
    assert (kept.pop("jobtrail-replay"), kept.pop("jobtrail-letter")) == ("r", letter.id)
    assert set(kept) <= {"other"}
    assert next(read_lines([export_line(letter).encode()])).body == body


@quick
@given(st.binary(max_size=100), all_properties | st.none(), st.binary(max_size=60))
def test_an_export_comes_back_to_the_bit(body: bytes, properties: pika.BasicProperties | None, noise: bytes) -> None:
    letter = read(body, noise if properties is None else encode(properties))
    line = export_line(letter)
    assert "\n" not in line
    (again,) = read_lines([b"", line.encode()])
    assert (again.body, again.properties, again.cause) == (letter.body, letter.properties, letter.cause)
    fields = json.loads(line)
    if properties is not None:
        del fields["properties_base64"]
        (by_hand,) = read_lines([json.dumps(fields).encode()])
        assert decode(by_hand.properties) == decode(letter.properties)
        fields["properties"]["app_id"] = "somebody's own"
        fields["properties_base64"] = base64.b64encode(letter.properties).decode()
        (mended,) = read_lines([json.dumps(fields).encode()])
        assert decode(mended.properties).app_id == "somebody's own", "what was changed by hand counts"


@pytest.mark.parametrize(
    "line", ["[]", "7", "{}", '{"format": "other"}', "no JSON", '{"format": "jobtrail.dead-letter/1"}']
)
def test_a_line_that_is_no_letter_is_named(line: str) -> None:
    with pytest.raises(SettingError, match="line 2 is not an exported dead letter"):
        list(read_lines([b"", line.encode()]))


@quick
@given(st.text(max_size=300))
def test_folding_is_short_and_done_once(text: str) -> None:
    folded = normalized_error(text)
    assert len(folded) <= MAX_CAUSE_LENGTH
    assert "\n" not in folded


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("job 17 of 23 failed after 1.5 s", "job 4 of 1,000 failed after 22 s"),
        ("no such file: /data/in/a.tif", "no such file: /srv/x/y/z.png"),
        ("GET http://host:1/a?b=1 said 500", "GET https://other/c said 503"),
        ("file 5cb2d2d3a4be0f9fd3400001 is gone", "file 0a1b2c3d4e5f0a1b2c3d4e5f is gone"),
        ("job 6a0f9ad4-4f0c-4b70-93a4-0f6d3b6d3a11 ended", "job 00000000-0000-4000-8000-000000000000 ended"),
        ("at 0xdeadbeef", "at 0x10"),
    ],
)
def test_errors_of_one_cause_fold_alike(one: str, other: str) -> None:
    assert normalized_error(one) == normalized_error(other)


def test_errors_of_different_causes_stay_different() -> None:
    words = ["file_id is missing", "job_id is missing", "the bead is dead", "a/b is no path", "decade"]
    assert len({normalized_error(text) for text in words}) == len(words)


SECRETIVE = json.dumps(
    {"host": "http://clowder/?key=s3cr3t", "secretKey": "s3cr3t", "list": ["a", "token=s3cr3t"], "n": {"m": 1}}
).encode()


def test_masked_secrets_survive_an_edit() -> None:
    letter = read(SECRETIVE, b"")
    shown = masked_body(SECRETIVE)
    assert shown is not None
    assert "s3cr3t" not in shown
    assert with_body(letter, shown, {}, "ann").body == SECRETIVE
    edited = json.loads(with_body(letter, shown.replace('"m": 1', '"m": 2'), {}, "ann").body)
    assert edited == json.loads(SECRETIVE) | {"n": {"m": 2}}
    with pytest.raises(SettingError, match=r"write out the secret"):
        with_body(letter, shown.replace("http://clowder", "http://other"), {}, "ann")
    plain = read(b"password=s3cr3t and more", b"")
    with pytest.raises(SettingError, match=r"write out the secret"):
        with_body(plain, "password=*** and less", {}, "ann")
    assert with_body(plain, "password=new and less", {}, "ann").body == b"password=new and less"


def test_single_fields_and_headers_are_edited_and_the_rest_stays() -> None:
    raw = changed(encode(pika.BasicProperties(message_id="m")), headers={"double": 0.1, "gone": 1})
    letter = read(SECRETIVE, raw)
    edit = with_fields(
        letter, {"n.m": [2], "n.new.deep": "x", "list": None, "no.such": None}, {"gone": None, "b": 2}, "ann"
    )
    expected = json.loads(SECRETIVE) | {"n": {"m": [2], "new": {"deep": "x"}}}
    del expected["list"]
    assert json.loads(edit.body) == expected
    assert edit.properties == changed(raw, headers={"gone": None, "b": 2})
    assert json.loads(with_fields(read('{"ä": "ö"}'.encode("latin-1"), b""), {"x": 1}, {}, "ann").body) == {
        "ä": "ö",
        "x": 1,
    }
    for body, fields in ((b"[]", {"a": 1}), (b"no JSON", {"a": 1}), (SECRETIVE, {"host.deep": 1})):
        with pytest.raises(SettingError):
            with_fields(read(body, b""), fields, {}, "ann")
    with pytest.raises(SettingError, match="invalid header"):
        with_fields(letter, {}, {"n" * 300: "x"}, "ann")
