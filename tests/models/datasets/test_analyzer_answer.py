"""What the analyzer API's replies mean."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobtrail.models.datasets.analyzer import (
    MAX_BODY_BYTES,
    MAX_MESSAGE_LENGTH,
    STATUS_WORDS,
    Reply,
    read_reply,
    retry_after_s,
)
from jobtrail.models.datasets.dataset import Answer, DatasetStatus, StatusSource
from jobtrail.models.errors import AnalyzerError, RateLimitedError
from jobtrail.models.notifications.alert import AlertKind

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    st.sampled_from(["status", "progress", "error_message", "error", "id", "dataset_id"]),
    JSON | st.sampled_from([*STATUS_WORDS, "ds-1"]),
)


def reply(body: object, status_code: int = 200, retry_after: str | None = None) -> Reply:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status_code=status_code, body=encoded, at=NOW, duration_s=0.02, retry_after=retry_after)


def read(body: object, status_code: int = 200, dataset_id: str = "ds-1") -> Answer:
    return read_reply(reply(body, status_code), dataset_id)


def refusal(body: object, status_code: int = 200, dataset_id: str = "ds-1") -> AnalyzerError:
    with pytest.raises(AnalyzerError) as caught:
        read(body, status_code, dataset_id)
    return caught.value


def test_an_answer_has_status_progress_and_the_time_it_came() -> None:
    assert read({"id": "ds-1", "status": "analyzing", "progress": 40}) == Answer(
        source=StatusSource.API, at=NOW, status=DatasetStatus.ANALYZING, progress=40.0
    )


@pytest.mark.parametrize("status", DatasetStatus)
def test_the_consoles_own_words_are_known(status: DatasetStatus) -> None:
    assert read({"status": status.value}).status is status


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("queued", DatasetStatus.PENDING),
        ("  Queued \n", DatasetStatus.PENDING),
        ("ANALYSING", DatasetStatus.ANALYZING),
        ("In Progress", DatasetStatus.ANALYZING),
        ("in-progress", DatasetStatus.ANALYZING),
        ("Succeeded", DatasetStatus.COMPLETE),
        ("cancelled", DatasetStatus.FAILED),
    ],
)
def test_the_words_for_a_status_are_read_in_every_spelling(told: str, status: DatasetStatus) -> None:
    assert read({"status": told}).status is status


def test_an_unknown_word_for_a_status_is_an_error_of_its_own_that_names_it() -> None:
    error = refusal({"status": "Exploded"})
    assert error.kind is AlertKind.API_UNKNOWN_STATUS
    assert "'Exploded'" in error.detail


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b'{"status": ',
        b"[" * 5000,
        b'"Complete"',
        b"x" * (MAX_BODY_BYTES + 1),
        ["Complete"],
        {},
        {"status": None},
        {"status": 3},
        {"status": "Complete", "id": "ds-2"},
        {"status": "Complete", "id": 7},
        {"status": "Complete", "id": ["ds-1"]},
        {"status": "Complete", "dataset_id": "ds-2", "id": "ds-1"},
        {"status": "Analyzing", "progress": "40"},
        {"status": "Analyzing", "progress": True},
        {"status": "Analyzing", "progress": -0.1},
        {"status": "Analyzing", "progress": 100.5},
        {"status": "Analyzing", "progress": float("nan")},
        {"status": "Failed", "error": {"code": 3}},
    ],
    ids=lambda body: str(body)[:40],
)
def test_what_is_no_dataset_is_an_invalid_answer(body: object) -> None:
    assert refusal(body).kind is AlertKind.API_INVALID_ANSWER


@pytest.mark.parametrize(
    ("dataset_id", "names"),
    [
        ("ds-1", {"id": "ds-1"}),
        ("ds-1", {"dataset_id": "ds-1", "id": 17}),
        ("17", {"id": 17}),
        ("ds-1", {"id": None}),
        ("ds-1", {}),
    ],
)
def test_an_answer_about_the_asked_dataset_is_taken(dataset_id: str, names: dict[str, object]) -> None:
    assert read({"status": "done", **names}, dataset_id=dataset_id).status is DatasetStatus.COMPLETE


@pytest.mark.parametrize("name", ["error_message", "error"])
def test_a_failed_dataset_has_its_reason(name: str) -> None:
    assert read({"status": "failed", name: " no images "}).error_message == "no images"


def test_a_reason_without_a_failure_is_not_kept() -> None:
    assert read({"status": "analyzing", "error_message": "retrying"}).error_message is None


def test_the_reason_is_bounded_and_without_secrets() -> None:
    told = "mongodb://root:hunter2@db/ refused; password=hunter2 " + "x" * 5000
    message = read({"status": "failed", "error_message": told}).error_message
    assert message is not None
    assert "hunter2" not in message
    assert len(message) == MAX_MESSAGE_LENGTH


@pytest.mark.parametrize(
    ("status_code", "kind"),
    [
        (401, AlertKind.API_AUTHENTICATION),
        (403, AlertKind.API_AUTHENTICATION),
        (404, AlertKind.API_NOT_FOUND),
        (429, AlertKind.API_RATE_LIMITED),
        (500, AlertKind.API_SERVICE_ERROR),
        (503, AlertKind.API_SERVICE_ERROR),
        (599, AlertKind.API_SERVICE_ERROR),
        (302, AlertKind.API_INVALID_ANSWER),
        (400, AlertKind.API_INVALID_ANSWER),
        (418, AlertKind.API_INVALID_ANSWER),
    ],
)
def test_the_status_code_goes_before_the_body(status_code: int, kind: AlertKind) -> None:
    error = refusal({"status": "Complete", "token": "key=hunter2"}, status_code)
    assert error.kind is kind
    assert str(status_code) in error.detail
    assert "Complete" in error.response
    assert "hunter2" not in error.response


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("9" * 5000, float("inf")),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOW - timedelta(seconds=30), usegmt=True), 0.0),
        ("Sun, 22 Nov 2026 12:00:05 -0000", 5.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


def test_a_refusal_for_the_rate_tells_how_long_to_wait() -> None:
    with pytest.raises(RateLimitedError) as caught:
        read_reply(reply({}, 429, retry_after="7"), "ds-1")
    assert caught.value.retry_after_s == 7.0


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no defect
@given(
    body=st.binary() | FIELDS.map(lambda fields: json.dumps(fields).encode()),
    status_code=st.just(200) | st.integers(100, 999),
    retry_after=st.none() | st.text(),
    dataset_id=st.sampled_from(["ds-1", "17", "0" * 128]),
)
def test_whatever_comes_is_an_answer_or_an_analyzer_error(
    body: bytes, status_code: int, retry_after: str | None, dataset_id: str
) -> None:
    try:
        answer = read_reply(reply(body, status_code, retry_after), dataset_id)
    except AnalyzerError:
        return
    assert answer.status in DatasetStatus
