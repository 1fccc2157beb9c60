"""What `jobtrail doctor` says of the reconciler's surroundings."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr
from pymongo import MongoClient

from jobtrail.cli.doctor.channels import check_channels
from jobtrail.cli.doctor.checks import Check, CheckOutcome
from jobtrail.cli.doctor.datasets import check_analyzer, check_datasets
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.models.notifications.outbox import OutboxState
from jobtrail.models.settings import ChannelName, Settings
from jobtrail.stack.demo.analyzer import AnalyzerSimulator
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.store.notifications.outbox import OutboxRepository
from tests.cli.support import JobTrail
from tests.reconciler.bench import Bench
from tests.reconciler.messages import entry, with_channels
from tests.reconciler.servers.serving import serving
from tests.reconciler.servers.smtp_server import smtp_server

NOWHERE = "http://127.0.0.1:9"


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def changed(settings: Settings, **values: Any) -> Settings:
    return settings.model_copy(update=values)


async def test_missing_indexes_stuck_datasets_and_given_up_messages_are_told(
    settings: Settings, mongo_client: MongoClient[dict[str, Any]]
) -> None:
    bench = Bench(mongo_client, settings)
    async with Database(settings.require_mongo_url(), settings.database) as database:
        before = by_name(await check_datasets(settings, database))
        await Console(database, settings).ensure_indexes()
        found = by_name(await check_datasets(settings, database))
        assert {check.outcome for check in found.values()} == {CheckOutcome.OK}, found
        bench.dataset("stuck", updated_at=datetime.now(UTC) - timedelta(hours=3))
        bench.dataset("young")
        bench.dataset("bogus", status="Nearly")
        await OutboxRepository(database).insert([replace(entry(ChannelName.EMAIL), state=OutboxState.FAILED)])
        found = by_name(await check_datasets(settings, database))

    assert before["dataset indexes"].outcome is CheckOutcome.WARNING
    assert found["dataset indexes"].outcome is CheckOutcome.OK
    assert found["datasets"].found == "2 pending or analyzing; 1 without news for 2 h"
    assert "jobtrail datasets stuck" in found["datasets"].advice
    assert "1 in wishlist" in found["dataset records"].found
    assert found["outbox"].found == "0 waiting, 1 given up"


async def test_without_the_api_the_jobs_tell_the_status_and_nothing_is_asked(settings: Settings) -> None:
    [check] = await check_analyzer(settings)

    assert (check.outcome, check.found) == (
        *(CheckOutcome.OK, "from the jobs of a dataset only: JOBTRAIL_ANALYZER_URL is not set"),
    )


@pytest.mark.parametrize(
    ("token", "trouble", "outcome", "code", "words"),
    [
        ("right-token", None, CheckOutcome.OK, ExitCode.DONE, "answers 404"),
        ("wrong-token", None, CheckOutcome.FAILED, ExitCode.WRONG_USE, "refuses us"),
        ("right-token", {"status_code": 403}, CheckOutcome.FAILED, ExitCode.WRONG_USE, "refuses us"),
        ("right-token", {"status_code": 503}, CheckOutcome.FAILED, ExitCode.UNREACHABLE, "answers 503"),
        ("right-token", {"status_code": 302}, CheckOutcome.WARNING, ExitCode.DONE, "answers 302"),
        ("right-token", {"delay_s": 60}, CheckOutcome.WARNING, ExitCode.DONE, "did not answer within 0.30 s"),
    ],
)
async def test_the_analyzers_api_is_asked_once(
    settings: Settings, token: str, trouble: dict[str, Any] | None, outcome: CheckOutcome, code: ExitCode, words: str
) -> None:
    timeout_s = 0.3 if trouble and "delay_s" in trouble else 30.0
    async with analyzer(trouble) as url:
        asking = changed(settings, analyzer_url=url, analyzer_token=SecretStr(token), analyzer_timeout_s=timeout_s)
        told, check = await check_analyzer(asking)

    assert told.outcome is CheckOutcome.OK
    assert (check.outcome, check.code) == (outcome, code)
    assert words in check.found
    assert token not in check.found + check.advice


@asynccontextmanager
async def analyzer(trouble: dict[str, Any] | None) -> AsyncIterator[str]:
    """The simulator, or an API in trouble."""
    if trouble is None:
        async with AnalyzerSimulator("right-token") as simulator:
            yield simulator.url
        return

    async def answer(_request: web.Request) -> web.Response:
        if delay_s := trouble.get("delay_s"):
            await asyncio.sleep(delay_s)
        return web.Response(status=trouble.get("status_code", 200))

    app = web.Application()
    app.router.add_get("/datasets/{id}", answer)
    async with serving(app) as port:
        yield f"http://127.0.0.1:{port}"


async def test_an_api_that_is_not_there_or_no_url_is_told(settings: Settings) -> None:
    for url, code in (
        (NOWHERE, ExitCode.UNREACHABLE),
        ("analyzer", ExitCode.WRONG_USE),
        ("ftp://a", ExitCode.WRONG_USE),
    ):
        _told, check = await check_analyzer(changed(settings, analyzer_url=url))
        assert (check.outcome, check.code) == (CheckOutcome.FAILED, code), url


async def test_channels_that_are_off_say_how_to_switch_them_on(settings: Settings) -> None:
    checks = await check_channels(settings)

    assert [(check.name, check.outcome) for check in checks] == [(name, CheckOutcome.OK) for name in ChannelName]
    assert all(check.found.startswith("off: JOBTRAIL_") for check in checks)


@asynccontextmanager
async def services(*, slack: dict[str, Any], pusher: int) -> AsyncIterator[str]:
    """A Slack that answers auth.test, and a Pusher that tells its channels."""

    async def auth_test(request: web.Request) -> web.Response:
        assert request.headers["Authorization"].startswith("Bearer ")
        return web.json_response(slack)

    async def channels(request: web.Request) -> web.Response:
        assert request.query["auth_signature"]
        return web.json_response({"channels": {}}, status=pusher)

    app = web.Application()
    app.router.add_post("/api/auth.test", auth_test)
    app.router.add_get("/apps/3/channels", channels)
    async with serving(app) as port:
        yield f"127.0.0.1:{port}"


async def test_channels_that_let_us_in_are_on(settings: Settings) -> None:
    slack = {"ok": True, "user": "jobtrail", "team": "ACME"}
    async with services(slack=slack, pusher=200) as place, smtp_server() as mails:
        on = with_channels(
            settings, slack=f"http://{place}/api/", smtp=mails.url, pusher=f"http://key:secret-1@{place}/apps/3"
        )
        found = by_name(await check_channels(on))

    assert {check.outcome for check in found.values()} == {CheckOutcome.OK}, found
    assert "as jobtrail at ACME" in found["slack"].found
    assert not mails.mails
    assert "secret-1" not in str(found)


async def test_channels_that_refuse_us_or_are_away_are_failures_without_secrets(settings: Settings) -> None:
    async with services(slack={"ok": False, "error": "invalid_auth"}, pusher=401) as place:
        refused = with_channels(settings, slack=f"http://{place}/api", pusher=f"http://key:secret-1@{place}/apps/3")
        found = by_name(await check_channels(refused))
    assert (found["slack"].code, "invalid_auth" in found["slack"].found) == (ExitCode.WRONG_USE, True)
    assert (found["pusher"].outcome, found["pusher"].code) == (CheckOutcome.FAILED, ExitCode.WRONG_USE)
    pusher, smtp = "http://key:secret-1@127.0.0.1:9/apps/3", "smtp://ada:secret-1@127.0.0.1:9"
    away = by_name(await check_channels(with_channels(settings, slack=NOWHERE, smtp=smtp, pusher=pusher)))
    assert {check.code for check in away.values()} == {ExitCode.UNREACHABLE}
    wrong = by_name(await check_channels(with_channels(settings, smtp="http://x", pusher="http://x/apps/3")))
    assert {wrong[name].code for name in ("email", "pusher")} == {ExitCode.WRONG_USE}
    assert "secret-1" not in str(found) + str(away)


def test_doctor_tells_all_of_it(jobtrail: JobTrail) -> None:
    done = jobtrail.run("doctor", "--json")

    names = [check["name"] for check in json.loads(done.stdout)["checks"]]
    assert done.returncode == 0
    assert {"dataset indexes", "datasets", "outbox", "dataset status", "slack", "email", "pusher", "reconciler"} <= {
        *names
    }
