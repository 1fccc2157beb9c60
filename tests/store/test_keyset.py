"""Pages by keyset: every row once and in order, whatever it holds, and a deep page as cheap as the first."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import bson
import pytest
from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from pymongo import MongoClient

from jobtrail.models.errors import SettingError
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database, Document
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.views import DatasetViews
from jobtrail.store.keyset import SortOrder, read_page

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
MISSING = object()
VALUES: list[Any] = [
    *(MISSING, None, MISSING, None, None, MinKey(), MaxKey(), 1, 2, 2.0, Int64(2), Decimal128("2"), float("nan"), -5),
    *("a", "b", "", b"ab", ObjectId(), True, False, MOMENT, MOMENT, MOMENT - timedelta(days=40_000), Timestamp(1, 2)),
    *(Regex("a", "i"), {"a": 1}, {"$x": 1}, {}),
]
KEYS: list[Any] = [ObjectId(), 7, "seven", MOMENT, {"a": 1}, None, MinKey(), b"x", True, ObjectId(), 8.5, "eight"]


async def walk(database: Database, query: Document, order: SortOrder, limit: int) -> list[Document]:
    """Read all pages of the test's collection."""
    rows: list[Document] = []
    cursor = None
    while True:
        page = await read_page(database.collection("rows"), query, order, limit=limit, cursor=cursor)
        rows += page.rows
        cursor = page.next
        if cursor is None:
            return rows
        assert len(page.rows) == limit
        assert len(rows) < 200, "the pages repeat themselves"


@pytest.mark.parametrize("direction", [1, -1])
async def test_pages_hold_every_row_once_and_in_order_whatever_it_holds(
    database: Database, direction: Literal[1, -1]
) -> None:
    rows = database.collection("rows")
    held = [*((ObjectId(), value) for value in VALUES), *((key, MOMENT) for key in KEYS)]
    await rows.insert_many(
        {"_id": key, "kind": "ab"[number % 2]} | ({} if value is MISSING else {"value": value})
        for number, (key, value) in enumerate(held)
    )
    order = SortOrder(field="value", direction=direction)
    for indexed in (False, True):
        if indexed:
            await rows.create_index([("kind", 1), ("value", 1), ("_id", 1)])
        queries: list[Document] = [{}, {"kind": "a"}, {"kind": {"$in": ["a", "b"]}}]
        for query in queries:
            expected = await rows.find(query).sort([("value", direction), ("_id", direction)]).to_list()
            for limit in (1, 3, 10):
                found = await walk(database, query, order, limit)
                assert [str(row["_id"]) for row in found] == [str(row["_id"]) for row in expected], (query, limit)


@pytest.fixture
def profile(mongo_client: MongoClient[Document], settings: Settings, console: Console) -> Iterator[Any]:
    """What the server notes of each reading of histories, once some are stored."""
    database = mongo_client[settings.console_database]
    database.command("profile", 2)
    yield database["system.profile"]
    database.command("profile", 0)


async def test_a_deep_page_costs_what_the_first_one_does(console: Console, profile: Any) -> None:
    """The list that needs it most: two statuses at once, which an index holds apart."""
    await console.histories.insert_many(
        {
            "dataset_id": f"d-{number}",
            "status": ("Pending", "Analyzing", "Complete")[number % 3],
            "error_message": "an error",
            "created_at": MOMENT,
            "updated_at": MOMENT + timedelta(seconds=number // 4),
        }
        for number in range(6000)
    )
    views = DatasetViews(console)

    def keys_examined() -> int:
        """Of the latest reading."""
        (noted,) = profile.find({"command.aggregate": console.histories.name}).sort("ts", -1).limit(1)
        return int(noted["keysExamined"])

    async def cost(read: Any) -> tuple[int, int]:
        """Of the first page and of one from the middle."""
        await read(limit=20)
        first = keys_examined()
        middle = await read(limit=2000 - 20)
        page = await read(limit=20, cursor=middle.next)
        assert len(page.rows) == 20
        return first, keys_examined()

    for read in (
        views.pending,
        lambda **page: views.stuck(before=MOMENT + timedelta(days=1), **page),
        lambda **page: views.with_errors(since=MOMENT, **page),
    ):
        first, deep = await cost(read)
        assert 20 < first < 100
        assert deep <= first + 10


async def test_a_cursor_that_is_none_of_ours_is_refused(database: Database) -> None:
    order = SortOrder(field="value", direction=1)
    forged: list[Document] = [{}, {"at": 5}, {"at": []}, {"at": [1, 2, 3]}, {"to": [1, 2]}]
    cursors = ["", "x", "nonsense", "é", "A" * 1000, "bm9uc2Vuc2U", "WzEsIDJd"]
    cursors += [base64.urlsafe_b64encode(bson.encode(each)).decode() for each in forged]
    for cursor in cursors:
        with pytest.raises(SettingError, match="invalid cursor"):
            await read_page(database.collection("rows"), {}, order, limit=1, cursor=cursor)
