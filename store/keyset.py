"""Pages of a list by keyset, so that a deep page costs what the first one does, whatever types the keys have.

Only rows with the same value in the field are gone through one by one, and arrays, which MongoDB sorts by one of their
elements, are no values to sort by.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import bson
from bson import MinKey
from bson.errors import BSONError
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ExecutionTimeout

from jobtrail.models.errors import SettingError, TooBroadError
from jobtrail.store.database import Document, translated

T = TypeVar("T")


@dataclass(slots=True, frozen=True, kw_only=True)
class Page(Generic[T]):
    """A part of a list."""

    rows: Sequence[T]
    next: str | None
    """Cursor of the next page; None on the last."""


@dataclass(slots=True, frozen=True, kw_only=True)
class SortOrder:
    """By one field, then by `_id`, both in one direction."""

    field: str
    direction: Literal[1, -1]


async def read_page(
    collection: AsyncCollection[Document],
    query: Document,
    order: SortOrder,
    *,
    limit: int,
    cursor: str | None,
    stages: Sequence[Document] = (),
    time_limit_s: float | None = None,
) -> Page[Document]:
    """Read one page of documents: those behind `cursor`, the `next` of the page before.

    `stages` are run on the documents of the page only. A cursor that is not one of ours is a `SettingError`; a search
    that takes longer than `time_limit_s` seconds a `TooBroadError`.
    """
    behind = [] if cursor is None else _behind(order, *_read_cursor(cursor))
    pipeline: list[Document] = [
        {"$match": {"$and": [query, *behind]}},
        {"$sort": {order.field: order.direction, "_id": order.direction}},
        {"$limit": limit + 1},
        *stages,
    ]
    bound: dict[str, Any] = {} if time_limit_s is None else {"maxTimeMS": int(time_limit_s * 1000)}
    with translated(), within(time_limit_s):
        found = await (await collection.aggregate(pipeline, **bound)).to_list()
    more = len(found) > limit
    return Page(rows=found[:limit], next=cursor_behind(order, found[limit - 1]) if more else None)


def cursor_behind(order: SortOrder, row: Mapping[str, object]) -> str:
    """Make the cursor of the page that begins behind a row, of which `_id` and the field of the order are needed."""
    return base64.urlsafe_b64encode(bson.encode({"at": [row.get(order.field), row["_id"]]})).decode().rstrip("=")


@contextmanager
def within(time_limit_s: float | None) -> Iterator[None]:
    """Turn the database's giving up after `time_limit_s` seconds into a `TooBroadError` that says what to do."""
    try:
        yield
    except ExecutionTimeout as error:
        raise TooBroadError(
            f"the search took longer than {time_limit_s:g} s and was given up: narrow the time range, or filter by more"
        ) from error


def _behind(order: SortOrder, value: object, key: object) -> list[Document]:
    """Match what comes behind a row: one range of an index, without the range's first rows, up to that one.

    An `$or` of "same value, greater key" and "greater value" would be exact, but with an `$in` beside it MongoDB reads
    and sorts everything behind the row.
    """
    onwards, up_to = ("$gte", "$lte") if order.direction == 1 else ("$lte", "$gte")
    # Expressions, because a query's own comparison passes over other types.
    begin: Document = {onwards: [f"${order.field}", {"$literal": value}]}
    if value is None and order.direction == 1:
        # A field that is missing sorts as null does, but is less for an expression.
        begin = {"$gt": [f"${order.field}", {"$literal": MinKey()}]}
    passed = {order.field: {"$eq": value}, "$expr": {up_to: ["$_id", {"$literal": key}]}}
    return [{"$expr": begin}, {"$nor": [passed]}]


def _read_cursor(cursor: str) -> tuple[object, object]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        value, key = bson.decode(base64.urlsafe_b64decode(padded.encode("ascii")))["at"]
    except (ValueError, TypeError, KeyError, BSONError) as error:
        raise SettingError(f"invalid cursor: {cursor[:80]!r}") from error
    return value, key
