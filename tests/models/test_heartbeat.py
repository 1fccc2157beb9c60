"""Reading heartbeats, and the order of versions."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtrail.models.errors import DecodeError
from jobtrail.models.extractor_info import MAX_INFO_BYTES
from jobtrail.models.heartbeat import decode_heartbeat, encode_heartbeat, version_key
from tests.heartbeat.support import NOW, beat, body, captured

NAMES = st.text(st.characters(codec="utf-8"), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def test_heartbeats_of_a_real_pyclowder_are_read():
    for message in captured():
        heartbeat = decode_heartbeat(message, NOW, max_bytes=100_000)
        assert (heartbeat.extractor, heartbeat.version) == ("ncsa.wordcount", "2.0")
        assert heartbeat.queue == "ncsa.wordcount"
        assert heartbeat.jobs is None
        assert heartbeat.interval_s is None
        assert json.loads(heartbeat.info_json) == json.loads(message)["extractor_info"]


def test_what_our_sender_writes_is_read_back():
    moment = datetime(2026, 11, 22, 1, 2, 3, 456_000, tzinfo=UTC)
    message = encode_heartbeat(
        instance_id="i1",
        extractor_info={"name": "ours", "version": "1.0"},
        queue="q",
        sent_at=moment,
        sequence=7,
        owner="me@example.org",
        extra={"jobs": ["a", "b"], "interval_s": 2.5, "host": "node1", "pid": 42, "stopping": True},
    )
    heartbeat = decode_heartbeat(message, NOW, max_bytes=10_000)
    assert heartbeat.jobs == ("a", "b")
    assert (heartbeat.interval_s, heartbeat.host, heartbeat.pid) == (2.5, "node1", 42)
    assert (heartbeat.sent_at, heartbeat.sequence, heartbeat.stopping) == (moment, 7, True)
    assert heartbeat.owner == "me@example.org"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "empty"),
        (b"\xff{", "not_json"),
        (b"[1]", "not_object"),
        (b'{"extractor_info": {"name": "x"}}', "missing_field"),
        (b'{"id": "i"}', "missing_field"),
        (b'{"id": "i", "extractor_info": {"version": "1"}}', "missing_field"),
        (b'{"id": "i", "extractor_info": "x"}', "wrong_type"),
        (b'{"id": 5, "extractor_info": {"name": "x"}}', "wrong_type"),
        (body("x", jobs="j1"), "wrong_type"),
        (body("x", jobs=[1]), "wrong_type"),
        (body("x", stopping="yes"), "wrong_type"),
        (body("x", pid="7"), "wrong_type"),
        (body("x", interval_s=-1), "out_of_range"),
        (body("x", jobs=["j" * 129]), "out_of_range"),
        (body("x" * 600), "out_of_range"),
        (body("x", sent_at="yesterday"), "bad_time"),
        (body("x", info={"text": "t" * MAX_INFO_BYTES}), "too_large"),
        (b'{"id": "i", "extractor_info": {"name": "x", "n": 1e999}}', "out_of_range"),
        (b'{"id": "i", "extractor_info": {"name": "x", "n": ' + b"[" * 1000 + b"]" * 1000 + b"}}", "too_deep"),
    ],
)
def test_a_bad_heartbeat_is_refused_with_its_reason(message: bytes, reason: str):
    with pytest.raises(DecodeError) as caught:
        decode_heartbeat(message, NOW, max_bytes=2 * MAX_INFO_BYTES)
    assert caught.value.reason == reason


def test_a_number_as_version_is_its_text():
    assert decode_heartbeat(body("x", version=2.5), NOW, max_bytes=1000).version == "2.5"
    assert decode_heartbeat(body("x", version=None), NOW, max_bytes=1000).version == ""


def test_secrets_in_the_info_are_masked():
    info = {
        "secretKey": "hush1",
        "repository": [{"repUrl": "https://me:hush2@example.org/x"}],
        "deep": {"api_key": "hush3"},
    }
    text = beat(extractor="x", info=info).info_json
    assert "hush" not in text
    assert '"repUrl":"https://me:***@example.org/x"' in text


@given(info=st.dictionaries(NAMES.filter(lambda name: name.isidentifier()), JSON, max_size=4))
def test_any_info_comes_back_unchanged(info: dict[str, object]):
    safe = {f"x_{name}": value for name, value in info.items()}
    heartbeat = beat(extractor="e", info=safe)
    assert json.loads(heartbeat.info_json) == {"name": "e", "version": "1.0", **safe}


def test_versions_are_ordered_as_people_count():
    ordered = [
        "", "0", "0.9", "1.9", "1.10", "2.0.dev1", "2.0a1", "2.0-beta", "2.0-beta2", "2.0-rc1", "2.0", "2.0.post1",
        "2.0.1-rc1", "v2.0.1", "2.1", "10", "2024.11.05",
    ]  # fmt: skip
    assert [*sorted(set(ordered), key=version_key)] == ordered


@pytest.mark.parametrize("other", ["2", "2.0.0", "v2.0", "2-0", " 2.0 "])
def test_versions_that_differ_in_form_only_are_equal(other: str):
    assert version_key("2.0") == version_key(other)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_two_versions_can_be_compared(one: str, other: str):
    assert (version_key(one) < version_key(other)) + (version_key(other) < version_key(one)) <= 1
