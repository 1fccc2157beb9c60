"""REST in this process, on a database of each test's own."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pymongo import MongoClient
from pymongo.database import Database as Trail

from jobtrail.models.settings import Settings
from jobtrail.models.token import Role
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from tests.web.conftest import Asking, Tokens


@pytest.fixture
def trail(mongo_client: MongoClient[Any], settings: Settings) -> Trail[Any]:
    return mongo_client[settings.database]


@pytest.fixture
def console(mongo_client: MongoClient[Any], settings: Settings) -> Trail[Any]:
    """The console's database."""
    return mongo_client[settings.console_database]


@pytest.fixture
async def api(asking: Asking, database: Database, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody on this machine, where all are operators."""
    await Console(database, settings).ensure_indexes()
    async with asking() as client:
        yield client


@pytest.fixture
async def viewer(asking: Asking, tokens: Tokens) -> AsyncIterator[httpx.AsyncClient]:
    """The holder of a viewer's token, for the user ann."""
    async with asking(await tokens.make("viewer", user="ann"), web_auth="tokens") as client:
        yield client


@pytest.fixture
async def operator(asking: Asking, tokens: Tokens) -> AsyncIterator[httpx.AsyncClient]:
    """The holder of an operator's token, for the user bob."""
    token = await tokens.make("operator", user="bob", role=Role.OPERATOR)
    async with asking(token, web_auth="tokens") as client:
        yield client
