"""The client of the analyzer's API, over real HTTP against the simulator."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import monotonic

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from jobtrail.models.datasets.analyzer import MAX_BODY_BYTES
from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.models.errors import AnalyzerError, NotAskedError, SettingError
from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.settings import Settings
from jobtrail.reconciler.analyzer import Analyzer
from jobtrail.reconciler.inquiry import ATTEMPTS, MAX_FAILED_IN_A_ROW, Inquiry
from jobtrail.stack.demo.analyzer import AnalyzerSimulator, Plan, Trouble
from tests.support import eventually_async

TOKEN = "s3cret-t0ken-of-the-api"
DONE = Plan(pending_s=0, analyzing_s=0)
QUICK_S = 30.0
"""What takes no pause takes less, on the slowest machine."""
Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def api() -> AsyncIterator[AnalyzerSimulator]:
    async with AnalyzerSimulator(TOKEN, prefix="/api/v1") as simulator:
        yield simulator


def settings_for(url: str, token: str | None = TOKEN, concurrency: int = 8, timeout_s: float = 30.0) -> Settings:
    return Settings(
        analyzer_url=url,
        analyzer_token=None if token is None else SecretStr(token),
        analyzer_concurrency=concurrency,
        analyzer_timeout_s=timeout_s,
        retry_max_wait_s=0.1,
    )


@asynccontextmanager
async def inquiry_at(
    url: str,
    *,
    token: str | None = TOKEN,
    concurrency: int = 8,
    timeout_s: float = 30.0,
    patience_s: float = 60.0,
) -> AsyncIterator[Inquiry]:
    settings = settings_for(url, token, concurrency, timeout_s)
    async with Analyzer(settings, patience_s=patience_s) as analyzer:
        yield analyzer.inquiry()


@asynccontextmanager
async def raw_server(serve: Serve) -> AsyncIterator[str]:
    """An HTTP server as bad as the test wants it."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(await reader.readuntil(b"\r\n\r\n"), writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def refusal(inquiry: Inquiry, dataset_id: str = "ds-1") -> AnalyzerError:
    with pytest.raises(AnalyzerError) as caught:
        await inquiry.ask(dataset_id)
    return caught.value


async def ask_all(inquiry: Inquiry, dataset_ids: Sequence[str]) -> Counter[str]:
    """Ask for many at once; count the answers, the errors by kind, and who was not asked."""

    async def outcome(dataset_id: str) -> str:
        try:
            await inquiry.ask(dataset_id)
        except NotAskedError as error:
            return f"not asked: {error.kind}"
        except AnalyzerError as error:
            return error.kind
        return "answered"

    return Counter(await asyncio.gather(*(outcome(dataset_id) for dataset_id in dataset_ids)))


def many(api: AnalyzerSimulator, count: int) -> list[str]:
    dataset_ids = [f"ds-{number}" for number in range(count)]
    for dataset_id in dataset_ids:
        api.add(dataset_id, DONE)
    return dataset_ids


# --- answers


@pytest.mark.parametrize(
    ("plan", "status", "progress"),
    [
        (Plan(pending_s=3600), DatasetStatus.PENDING, 0),
        (Plan(pending_s=0, analyzing_s=3600), DatasetStatus.ANALYZING, 0),
        (DONE, DatasetStatus.COMPLETE, 100),
    ],
)
async def test_a_dataset_comes_with_its_status_and_progress(
    api: AnalyzerSimulator, plan: Plan, status: DatasetStatus, progress: float
) -> None:
    api.add("ds-1", plan)
    async with inquiry_at(api.url) as inquiry:
        answer = await inquiry.ask("ds-1")
    assert (answer.status, answer.progress) == (status, progress)


async def test_a_failed_dataset_comes_with_its_reason(api: AnalyzerSimulator) -> None:
    api.add("ds-1", Plan(pending_s=0, analyzing_s=0, error_message="no images"))
    async with inquiry_at(f"{api.url}/") as inquiry:
        answer = await inquiry.ask("ds-1")
    assert (answer.status, answer.error_message) == (DatasetStatus.FAILED, "no images")


async def test_an_api_without_credentials_is_asked_without_a_token() -> None:
    heads = []

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"status":"running"}')

    async with raw_server(serve) as url, inquiry_at(url, token=None) as inquiry:
        assert (await inquiry.ask("ds-1")).status is DatasetStatus.ANALYZING
    assert b"authorization" not in heads[0].lower()


async def test_the_times_of_the_replies_are_summed_up(api: AnalyzerSimulator) -> None:
    dataset_ids = many(api, 10)
    api.trouble(Trouble(delay_s=0.05))
    async with inquiry_at(api.url) as inquiry:
        await ask_all(inquiry, [*dataset_ids, "unknown"])
        timings = inquiry.timings()
    assert timings.count == 11
    assert 0.05 <= timings.mean_s <= timings.most_s < QUICK_S


# --- many at once


async def test_many_datasets_share_a_bounded_number_of_kept_connections(api: AnalyzerSimulator) -> None:
    dataset_ids = many(api, 60)
    api.trouble(Trouble(delay_s=0.05))
    async with inquiry_at(api.url, concurrency=5) as inquiry:
        assert await ask_all(inquiry, dataset_ids) == {"answered": 60}
    assert api.counts.most_in_flight == 5
    assert len(api.counts.connections) == 5


async def test_one_datasets_error_does_not_stop_the_others(api: AnalyzerSimulator) -> None:
    dataset_ids = many(api, 6)
    api.trouble(Trouble(status_code=500), "ds-1")
    api.trouble(Trouble(status_code=200, body="<html>"), "ds-2")
    async with inquiry_at(api.url) as inquiry:
        assert await ask_all(inquiry, [*dataset_ids, "unknown", "../secret"]) == {
            "answered": 4,
            AlertKind.API_SERVICE_ERROR: 1,
            AlertKind.API_INVALID_ANSWER: 1,
            AlertKind.API_NOT_FOUND: 1,
            AlertKind.INVALID_DATASET_ID: 1,
        }
    assert "../secret" not in api.counts.requests


# --- each error


@pytest.mark.parametrize(
    ("trouble", "kind", "requests"),
    [
        (Trouble(status_code=401), AlertKind.API_AUTHENTICATION, 1),
        (Trouble(status_code=403), AlertKind.API_AUTHENTICATION, 1),
        (Trouble(status_code=404), AlertKind.API_NOT_FOUND, 1),
        (Trouble(status_code=429, retry_after="3600"), AlertKind.API_RATE_LIMITED, 1),
        (Trouble(status_code=500), AlertKind.API_SERVICE_ERROR, ATTEMPTS),
        (Trouble(status_code=503, body="down for maintenance"), AlertKind.API_SERVICE_ERROR, ATTEMPTS),
        (Trouble(delay_s=3600), AlertKind.API_TIMEOUT, ATTEMPTS),
        (Trouble(status_code=302), AlertKind.API_INVALID_ANSWER, 1),
        (Trouble(status_code=400), AlertKind.API_INVALID_ANSWER, 1),
        (Trouble(status_code=200, body="<html>Welcome</html>"), AlertKind.API_INVALID_ANSWER, 1),
        (Trouble(status_code=200, body='["Complete"]'), AlertKind.API_INVALID_ANSWER, 1),
        (Trouble(status_code=200, body='{"id": "ds-2", "status": "Complete"}'), AlertKind.API_INVALID_ANSWER, 1),
        (Trouble(status_code=200, body=" " * (3 * MAX_BODY_BYTES)), AlertKind.API_INVALID_ANSWER, 1),
        (Trouble(status_code=200, body='{"status": "Exploded"}'), AlertKind.API_UNKNOWN_STATUS, 1),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_each_error_is_told_apart_and_tried_again_if_it_may_pass(
    api: AnalyzerSimulator, trouble: Trouble, kind: AlertKind, requests: int
) -> None:
    api.add("ds-1", DONE)
    api.trouble(trouble)
    async with inquiry_at(api.url, timeout_s=1.0 if trouble.delay_s else 30.0) as inquiry:
        with capture_logs() as logs:
            error = await refusal(inquiry)
    assert (error.kind, type(error) is NotAskedError) == (kind, False)
    assert [entry["action"] for entry in logs].count("dataset.api_asked") == requests
    if not trouble.delay_s:  # what is given up after a second may never have arrived
        assert api.counts.requests == {"ds-1": requests}


async def test_an_error_that_passes_is_no_error(api: AnalyzerSimulator) -> None:
    api.add("ds-1", DONE)
    api.trouble(Trouble(status_code=500, times=ATTEMPTS - 1))
    async with inquiry_at(api.url) as inquiry:
        assert (await inquiry.ask("ds-1")).status is DatasetStatus.COMPLETE


async def test_a_connection_that_breaks_is_a_service_error_and_no_timeout(api: AnalyzerSimulator) -> None:
    api.trouble(Trouble(disconnects=True))
    async with inquiry_at(api.url) as inquiry:
        assert (await refusal(inquiry)).kind is AlertKind.API_SERVICE_ERROR
    assert api.counts.requests["ds-1"] >= ATTEMPTS


async def test_an_api_that_is_not_there_is_a_service_error(api: AnalyzerSimulator) -> None:
    async with AnalyzerSimulator(TOKEN) as gone:
        url = gone.url
    async with inquiry_at(url) as inquiry:
        assert (await refusal(inquiry)).kind is AlertKind.API_SERVICE_ERROR


async def test_an_answer_that_trickles_in_without_end_is_a_timeout() -> None:
    async def trickle(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with raw_server(trickle) as url, inquiry_at(url, timeout_s=0.3) as inquiry:
        error = await refusal(inquiry)
    assert error.kind is AlertKind.API_TIMEOUT
    assert url in error.detail


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    async def flood(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" " * 65_536)
            await writer.drain()

    async with raw_server(flood) as url, inquiry_at(url) as inquiry:
        assert (await refusal(inquiry)).kind is AlertKind.API_INVALID_ANSWER


async def test_an_answer_that_breaks_off_is_a_service_error() -> None:
    async def break_off(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"status"')

    async with raw_server(break_off) as url, inquiry_at(url) as inquiry:
        assert (await refusal(inquiry)).kind is AlertKind.API_SERVICE_ERROR


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
    ],
)
async def test_what_is_no_http_is_an_invalid_answer(reply: bytes) -> None:
    async def serve(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)

    async with raw_server(serve) as url, inquiry_at(url) as inquiry:
        assert (await refusal(inquiry)).kind is AlertKind.API_INVALID_ANSWER


# --- what ends an inquiry


async def test_refused_credentials_end_the_inquiry_and_nothing_more_is_asked(api: AnalyzerSimulator) -> None:
    dataset_ids = many(api, 50)
    api.trouble(Trouble(status_code=401))
    async with Analyzer(settings_for(api.url, concurrency=4)) as analyzer:
        outcomes = await ask_all(analyzer.inquiry(), dataset_ids)
        asked = outcomes.pop(AlertKind.API_AUTHENTICATION)
        assert 1 <= asked <= 4
        assert outcomes == {f"not asked: {AlertKind.API_AUTHENTICATION}": 50 - asked}
        assert api.counts.requests.total() == asked
        api.behave()
        assert await ask_all(analyzer.inquiry(), dataset_ids) == {"answered": 50}


@pytest.mark.parametrize("token", ["wrong", None])
async def test_a_wrong_or_missing_token_is_an_authentication_error(api: AnalyzerSimulator, token: str | None) -> None:
    async with inquiry_at(api.url, token=token) as inquiry:
        assert (await refusal(inquiry)).kind is AlertKind.API_AUTHENTICATION


async def test_an_api_that_is_down_ends_the_inquiry_after_a_number_of_datasets(api: AnalyzerSimulator) -> None:
    dataset_ids = many(api, 200)
    api.trouble(Trouble(status_code=500))
    async with inquiry_at(api.url, concurrency=4) as inquiry:
        outcomes = await ask_all(inquiry, dataset_ids)
    failed = outcomes[AlertKind.API_SERVICE_ERROR]
    assert MAX_FAILED_IN_A_ROW <= failed < MAX_FAILED_IN_A_ROW + 4
    assert outcomes[f"not asked: {AlertKind.API_SERVICE_ERROR}"] == 200 - failed
    assert api.counts.requests.total() <= (MAX_FAILED_IN_A_ROW + 4) * ATTEMPTS


async def test_an_answer_in_between_shows_that_the_api_is_up(api: AnalyzerSimulator) -> None:
    bad = [f"bad-{number}" for number in range(2 * MAX_FAILED_IN_A_ROW - 2)]
    for dataset_id in bad:
        api.trouble(Trouble(status_code=500), dataset_id)
    api.add("good", DONE)
    half = MAX_FAILED_IN_A_ROW - 1
    async with inquiry_at(api.url, concurrency=1) as inquiry:
        outcomes = await ask_all(inquiry, [*bad[:half], "good", *bad[half:]])
    assert outcomes == {"answered": 1, AlertKind.API_SERVICE_ERROR: len(bad)}


# --- rate limits


def in_a_second() -> str:
    return "1"


def as_a_date_in_two_seconds() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)


@pytest.mark.parametrize("retry_after", [in_a_second, as_a_date_in_two_seconds])
async def test_retry_after_holds_back_all_datasets(api: AnalyzerSimulator, retry_after: Callable[[], str]) -> None:
    dataset_ids = many(api, 6)
    began = monotonic()
    api.trouble(Trouble(status_code=429, retry_after=retry_after(), times=1))
    async with inquiry_at(api.url, concurrency=1) as inquiry:
        assert await ask_all(inquiry, dataset_ids) == {"answered": 6}
        assert monotonic() - began >= 0.95
        assert api.counts.requests.total() == 7


async def test_a_dataset_that_comes_later_waits_for_retry_after_too(api: AnalyzerSimulator) -> None:
    many(api, 2)
    began = monotonic()
    api.trouble(Trouble(status_code=429, retry_after="1"), "ds-0")
    async with inquiry_at(api.url) as inquiry:
        first = asyncio.create_task(inquiry.ask("ds-0"))

        async def is_refused() -> bool:
            return inquiry.timings().count == 1

        await eventually_async(is_refused)
        api.behave("ds-0")
        await inquiry.ask("ds-1")
        assert monotonic() - began >= 0.95
        assert (await first).status is DatasetStatus.COMPLETE


@pytest.mark.parametrize("retry_after", [None, "0", "soon"])
async def test_without_a_useful_retry_after_the_client_backs_off_by_itself(
    api: AnalyzerSimulator, retry_after: str | None
) -> None:
    dataset_ids = many(api, 30)
    api.trouble(Trouble(status_code=429, retry_after=retry_after, times=20))
    async with inquiry_at(api.url) as inquiry:
        assert await ask_all(inquiry, dataset_ids) == {"answered": 30}
    assert api.counts.requests.total() == 50


async def test_a_pause_that_is_too_long_ends_the_inquiry_at_once(api: AnalyzerSimulator) -> None:
    dataset_ids = many(api, 40)
    api.trouble(Trouble(status_code=429, retry_after="3600"))
    began = monotonic()
    async with inquiry_at(api.url, concurrency=4) as inquiry:
        outcomes = await ask_all(inquiry, dataset_ids)
    assert monotonic() - began < QUICK_S
    asked = outcomes[AlertKind.API_RATE_LIMITED]
    assert 1 <= asked <= 4
    assert outcomes[f"not asked: {AlertKind.API_RATE_LIMITED}"] == 40 - asked


async def test_an_api_that_only_refuses_us_ends_the_inquiry_in_the_end(api: AnalyzerSimulator) -> None:
    dataset_ids = many(api, 40)
    api.trouble(Trouble(status_code=429))
    async with inquiry_at(api.url, patience_s=0.5) as inquiry:
        outcomes = await ask_all(inquiry, dataset_ids)
    assert outcomes[AlertKind.API_RATE_LIMITED] >= 1
    assert outcomes.total() == 40
    assert set(outcomes) == {AlertKind.API_RATE_LIMITED, f"not asked: {AlertKind.API_RATE_LIMITED}"}


async def test_one_dataset_that_is_always_refused_does_not_end_the_inquiry(api: AnalyzerSimulator) -> None:
    api.trouble(Trouble(status_code=429), "limited")
    api.add("good", DONE)
    async with inquiry_at(api.url, patience_s=0.5) as inquiry:
        limited = asyncio.create_task(inquiry.ask("limited"))
        while not limited.done():
            assert (await inquiry.ask("good")).status is DatasetStatus.COMPLETE
        with pytest.raises(AnalyzerError) as caught:
            await limited
        assert caught.value.kind is AlertKind.API_RATE_LIMITED
        assert (await inquiry.ask("good")).status is DatasetStatus.COMPLETE


async def test_the_end_of_an_inquiry_frees_those_who_wait_for_the_rate_at_once(api: AnalyzerSimulator) -> None:
    api.trouble(Trouble(status_code=429, retry_after="50"), "limited")
    api.trouble(Trouble(status_code=401, delay_s=0.3), "refused")
    began = monotonic()
    async with inquiry_at(api.url) as inquiry:
        assert await ask_all(inquiry, ["limited", "refused"]) == {
            f"not asked: {AlertKind.API_AUTHENTICATION}": 1,
            AlertKind.API_AUTHENTICATION: 1,
        }
    assert monotonic() - began < QUICK_S


# --- what is told


async def test_each_failed_attempt_is_logged_with_its_number_the_response_and_advice(api: AnalyzerSimulator) -> None:
    api.trouble(Trouble(status_code=503, body="down for maintenance"))
    with capture_logs() as logs:
        async with inquiry_at(api.url) as inquiry:
            await refusal(inquiry)
    attempts = [record for record in logs if record["action"] == "dataset.api_attempt_failed"]
    assert [record["attempt"] for record in attempts] == [1, 2, 3]
    for record in attempts:
        assert record["log_level"] == "warning"
        assert record["dataset_id"] == "ds-1"
        assert record["error"] == "HTTP 503 Service Unavailable"
        assert record["response"] == "down for maintenance"
        assert record["advice"]


async def test_a_refusal_for_the_rate_is_logged_once_with_the_pause_and_advice(api: AnalyzerSimulator) -> None:
    dataset_ids = many(api, 8)
    api.trouble(Trouble(status_code=429, retry_after="2", delay_s=1, times=8))
    with capture_logs() as logs:
        async with inquiry_at(api.url) as inquiry:
            assert await ask_all(inquiry, dataset_ids) == {"answered": 8}
    (refused,) = [record for record in logs if record["log_level"] == "warning"]
    assert 0.5 < refused["wait_s"] <= 2
    assert "JOBTRAIL_ANALYZER_CONCURRENCY" in refused["advice"]


async def test_an_answer_is_logged_with_its_status_for_those_who_debug(api: AnalyzerSimulator) -> None:
    api.add("ds-1", DONE)
    with capture_logs() as logs:
        async with inquiry_at(api.url) as inquiry:
            await inquiry.ask("ds-1")
    (record,) = [record for record in logs if record["action"] == "dataset.api_answered"]
    assert (record["log_level"], record["status"], record["progress"]) == ("debug", "Complete", 100)


@pytest.mark.parametrize("status_code", [200, 401, 500])
async def test_the_token_is_never_told_even_if_the_api_sends_it_back(api: AnalyzerSimulator, status_code: int) -> None:
    body = json.dumps({"status": "failed", "error": f"who is {TOKEN}?"})
    api.trouble(Trouble(status_code=status_code, body=body))
    with capture_logs() as logs:
        async with inquiry_at(api.url) as inquiry:
            try:
                told = str(await inquiry.ask("ds-1"))
            except AnalyzerError as error:
                told = f"{error!r} {error.detail} {error.response}"
    assert TOKEN not in told
    assert "who is ***?" in told
    assert TOKEN not in str(logs)


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com/v1",
        "ftp://api.example.com",
        "http://",
        "http://api.example.com:port",
        "http://api.example.com:99999",
        f"http://{'long' * 20}.example.com",
        "http://xn--a.example.com",
        "http://user:hunter2@api.example.com",
        "http://user:hunter2/v1@api.example.com",
        "http://api.example.com/v1?key=hunter2",
        "http://api.example.com/\x00",
    ],
)
def test_an_unusable_address_is_a_setting_error_that_tells_no_secret(url: str) -> None:
    with pytest.raises(SettingError, match="JOBTRAIL_ANALYZER_URL") as caught:
        Analyzer(settings_for(url))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("token", ["two words", "line-end\n", "clé"])
def test_an_unusable_token_is_a_setting_error_that_does_not_tell_it(token: str) -> None:
    with pytest.raises(SettingError, match="JOBTRAIL_ANALYZER_TOKEN") as caught:
        Analyzer(settings_for("http://api.example.com", token))
    assert token not in str(caught.value)


def test_without_an_address_there_is_no_client() -> None:
    with pytest.raises(SettingError, match="JOBTRAIL_ANALYZER_URL"):
        Analyzer(Settings())
