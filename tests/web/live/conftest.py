"""The web at work in this process, and somebody who writes into the trail."""

from collections.abc import AsyncIterator

import pytest

from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from tests.web.conftest import serving
from tests.web.live.writer import Writer


@pytest.fixture
async def writer(database: Database) -> AsyncIterator[Writer]:
    writer = Writer(database)
    await writer.start()
    yield writer
    await writer.close()


@pytest.fixture
def console(database: Database, settings: Settings) -> Console:
    return Console(database, settings)


@pytest.fixture
async def port(settings: Settings, database: Database) -> AsyncIterator[int]:
    """The web's port."""
    async with serving(settings) as client:
        assert client.base_url.port is not None
        yield client.base_url.port
