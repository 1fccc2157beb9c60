"""Message accounting."""

from typing import Any

from pydantic import AliasPath, Field

from jobtrail.operations.schemas.base import Schema, Timestamp


def _of_the_tally(name: str) -> Any:
    return Field(validation_alias=AliasPath("tally", name))


class BalanceSchema(Schema):
    """The messages taken from a queue or stream within an hour, and what is found of them.

    `missing_numbers` and `doubled_numbers` are the first ones, by `seq`; only a stream's are known.
    """

    queue: str = _of_the_tally("queue")
    hour: Timestamp = _of_the_tally("hour")
    handed_out: int = _of_the_tally("handed_out")
    stored: int = _of_the_tally("stored")
    duplicates: int = _of_the_tally("duplicates")
    dead_lettered: int = _of_the_tally("dead_lettered")
    letters_waiting: int = Field(validation_alias="waiting")
    missing: int
    doubled: int
    missing_numbers: list[int]
    doubled_numbers: list[int]
    difference: str


class PositionSchema(Schema):
    """How far a stream has been stored: the last stored offset of its epoch, and that update's `seq`."""

    stream: str
    epoch: int
    offset: int
    seq: int


class WaitingSchema(Schema):
    """Messages waiting in a queue that is captured or bridged; null if unknown."""

    queue: str
    waiting: int | None
    consumers: int | None


class AuditSchema(Schema):
    """Message accounting: whether every message that was taken is found exactly once."""

    since: Timestamp
    at: Timestamp
    missing: int
    doubled: int
    balances: list[BalanceSchema]
    streams: list[PositionSchema] = Field(validation_alias="positions")
    queues: list[WaitingSchema] = Field(validation_alias="waiting")
