"""The conservation audit."""

from typing import Self

from jobtrail.deadletters.accounting import Audit
from jobtrail.models.dead_letters.accounting import Balance
from jobtrail.operations.schemas.base import Schema, Timestamp


class BalanceSchema(Schema):
    """What was taken from a queue or stream within an hour, and what is found of it.

    `missing_numbers` and `doubled_numbers` are the first ones, by `seq`; only a stream's are known.
    """

    queue: str
    hour: Timestamp
    handed_out: int
    stored: int
    duplicates: int
    dead_lettered: int
    letters_waiting: int
    missing: int
    doubled: int
    missing_numbers: list[int]
    doubled_numbers: list[int]
    difference: str

    @classmethod
    def of(cls, balance: Balance) -> Self:
        """Make it of a balance."""
        tally = balance.tally
        return cls(
            queue=tally.queue,
            hour=tally.hour,
            handed_out=tally.handed_out,
            stored=tally.stored,
            duplicates=tally.duplicates,
            dead_lettered=tally.dead_lettered,
            letters_waiting=balance.waiting,
            missing=balance.missing,
            doubled=balance.doubled,
            missing_numbers=list(balance.missing_numbers),
            doubled_numbers=list(balance.doubled_numbers),
            difference=balance.difference,
        )


class PositionSchema(Schema):
    """How far a stream has been stored: the last stored offset of its epoch, and that update's `seq`."""

    stream: str
    epoch: int
    offset: int
    seq: int


class WaitingSchema(Schema):
    """What waits in a queue that is captured or bridged; null where that is not known."""

    queue: str
    waiting: int | None
    consumers: int | None


class AuditSchema(Schema):
    """What a conservation audit found."""

    since: Timestamp
    at: Timestamp
    missing: int
    doubled: int
    balances: list[BalanceSchema]
    streams: list[PositionSchema]
    queues: list[WaitingSchema]

    @classmethod
    def of(cls, audit: Audit) -> Self:
        """Make it of an audit."""
        return cls(
            since=audit.since,
            at=audit.at,
            missing=audit.missing,
            doubled=audit.doubled,
            balances=[BalanceSchema.of(balance) for balance in audit.balances],
            streams=[
                PositionSchema(stream=each.stream, epoch=each.epoch, offset=each.offset, seq=each.seq)
                for each in audit.positions
            ],
            queues=[
                WaitingSchema(queue=depth.queue, waiting=depth.waiting, consumers=depth.consumers)
                for depth in audit.waiting
            ],
        )
