"""Fixtures: the databases of the trail, the console and the analyzer, and a bench that fills and reads them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo import MongoClient

from jobtrail.models.settings import Settings
from jobtrail.stack.demo.analyzer import AnalyzerSimulator
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from tests.reconciler.bench import Bench
from tests.support import WAIT_S

TOKEN = "analyzer-token-1"


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The trail's database of this test, with its indexes."""
    async with Database(settings.require_mongo_url(), settings.database, timeout_s=WAIT_S) as database:
        await database.ensure_indexes()
        yield database


@pytest.fixture
async def console(database: Database, settings: Settings) -> Console:
    """The console's and the analyzer's collections of this test, with their indexes."""
    console = Console(database, settings)
    await console.ensure_indexes()
    return console


@pytest.fixture
def bench(mongo_client: MongoClient[dict[str, Any]], settings: Settings) -> Bench:
    """Fills and reads the databases of this test, past JobTrail's own code."""
    return Bench(mongo_client, settings)


@pytest.fixture
async def simulator() -> AsyncIterator[AnalyzerSimulator]:
    """An analyzer API of this test."""
    async with AnalyzerSimulator(TOKEN) as simulator:
        yield simulator


@pytest.fixture
def asking(settings: Settings, simulator: AnalyzerSimulator) -> Settings:
    """Settings that ask the simulator and tell Slack; no channel is dispatched unless a test does so."""
    return settings.model_copy(
        update={
            "analyzer_url": simulator.url,
            "analyzer_token": SecretStr(TOKEN),
            "analyzer_timeout_s": 20.0,
            "retry_max_wait_s": 0.1,
            "slack_token": SecretStr("xoxb-test"),
            "slack_channel": "C1",
            "slack_url": "http://127.0.0.1:9/",
        }
    )
