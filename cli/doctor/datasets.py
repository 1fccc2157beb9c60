"""Checks the reconciler's surroundings: the sources of a dataset's status, the datasets, the outbox."""

from datetime import UTC, datetime

import httpx

from jobtrail.cli.doctor.checks import Check, failed, ok, warning
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.models.datasets.dataset import DatasetStatus, StatusSource
from jobtrail.models.notifications.outbox import OutboxState
from jobtrail.models.places import place_of
from jobtrail.models.redaction import redact
from jobtrail.models.settings import Settings
from jobtrail.models.times import duration
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.views import STUCK_AFTER, DatasetViews
from jobtrail.store.notifications.outbox import OutboxRepository

_PROBE = "jobtrail-doctor"
"""A dataset that should not exist; the API should answer so."""
_MAX_WAIT_S = 5.0
_SERVER_ERRORS = 500


async def check_datasets(settings: Settings, database: Database) -> list[Check]:
    """Check the console's collections, its datasets and the outbox."""
    console = Console(database, settings)
    return [await _indexes(console), *await _datasets(console), await _outbox(database)]


async def _indexes(console: Console) -> Check:
    missing = await console.missing_indexes()
    if missing:
        words = f"missing: {', '.join(missing)}"
        return warning("dataset indexes", words, "the reconciler creates them: jobtrail dataset:get-status --watch")
    return ok("dataset indexes", "complete")


async def _datasets(console: Console) -> list[Check]:
    name = "datasets"
    counts = await DatasetViews(console).counts(stuck_before=datetime.now(UTC) - STUCK_AFTER)
    found = f"{counts.open:,} pending or analyzing"
    if counts.stuck:
        words = f"{found}; {counts.stuck:,} without news for {duration(STUCK_AFTER.total_seconds())}"
        checks = [warning(name, words, "see which, and why: jobtrail datasets stuck")]
    else:
        checks = [ok(name, found)]
    if counts.unknown:
        words = f"{counts.unknown:,} in wishlist_dataset_histories have an invalid status and are not watched"
        checks.append(warning("dataset records", words, f"correct the status to one of {', '.join(DatasetStatus)}"))
    return checks


async def _outbox(database: Database) -> Check:
    backlog = await OutboxRepository(database).backlog()
    given_up = sum(count for (_channel, state), count in backlog.items() if state is OutboxState.FAILED)
    found = f"{sum(backlog.values()) - given_up:,} waiting"
    if given_up:
        advice = "see why: jobtrail outbox --failed; then: jobtrail outbox retry"
        return warning("outbox", f"{found}, {given_up:,} given up", advice)
    return ok("outbox", found)


async def check_analyzer(settings: Settings) -> list[Check]:
    """Check where a dataset's status comes from, and whether the analyzer's API answers and accepts our token."""
    name = "dataset status"
    if StatusSource.API not in settings.dataset_sources:
        why = "JOBTRAIL_DATASET_SOURCE is events" if settings.analyzer_url else "JOBTRAIL_ANALYZER_URL is not set"
        return [ok(name, f"from the jobs of a dataset only: {why}")]
    by_jobs = StatusSource.EVENTS in settings.dataset_sources
    source = ok(name, f"from the analyzer's API{' and the jobs of a dataset' if by_jobs else ' only'}")
    return [source, await _ask_analyzer(settings)]


async def _ask_analyzer(settings: Settings) -> Check:
    name, url = "analyzer API", settings.analyzer_url or ""
    place = place_of(url)
    token = settings.analyzer_token
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    wait_s = min(_MAX_WAIT_S, settings.analyzer_timeout_s)
    try:
        async with httpx.AsyncClient(timeout=wait_s) as client:
            answer = await client.get(f"{url.rstrip('/')}/datasets/{_PROBE}", headers=headers)
    except httpx.TimeoutException:
        words = f"{place} did not answer within {duration(wait_s)}"
        return warning(
            name, words, "check the network and the analyzer's load; the limit is JOBTRAIL_ANALYZER_TIMEOUT_S"
        )
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, ValueError) as error:
        advice = "correct JOBTRAIL_ANALYZER_URL and JOBTRAIL_ANALYZER_TOKEN"
        return failed(name, f"{place}: {redact(str(error))}", advice, ExitCode.WRONG_USE)
    except httpx.TransportError as error:
        words = f"{place} can't be reached: {redact(str(error))}"
        return failed(name, words, "start the analyzer or correct JOBTRAIL_ANALYZER_URL", ExitCode.UNREACHABLE)
    return _judged(name, place, answer.status_code, with_token=token is not None)


def _judged(name: str, place: str, code: int, *, with_token: bool) -> Check:
    found = f"{place} answers {code}"
    if code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        advice = "renew or correct JOBTRAIL_ANALYZER_TOKEN" if with_token else "set JOBTRAIL_ANALYZER_TOKEN"
        return failed(name, f"{found}: it refuses us", advice, ExitCode.WRONG_USE)
    if code >= _SERVER_ERRORS:
        return failed(name, found, "look at the analyzer's own logs and health", ExitCode.UNREACHABLE)
    if code in (httpx.codes.OK, httpx.codes.NOT_FOUND):
        return ok(name, f"{found} for a dataset that does not exist")
    return warning(name, found, "not what the analyzer's API answers: check JOBTRAIL_ANALYZER_URL")
