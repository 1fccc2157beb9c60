"""Fixtures: an analyzer that answers, and settings that ask it."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from jobtrail.models.settings import Settings
from jobtrail.stack.demo.analyzer import AnalyzerSimulator

TOKEN = "analyzer-token-1"


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
