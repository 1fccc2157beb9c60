"""Checks the forwarder, where one is configured: does its target exist, and how far behind the consumer is it?"""

from jobtrail.broker.queue_depth import QueueDepth, QueueGauge
from jobtrail.cli.doctor.checks import Check, ok, warning
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.log.positions import read_positions

_NAME = "forwarding"
_MANY_BEHIND = 10_000


async def check_forward(settings: Settings, database: Database) -> list[Check]:
    """Check `JOBTRAIL_FORWARD_TO`; no check where it is not set, or where the broker can't be reached."""
    if settings.forward_to is None:
        return []
    depth = await QueueGauge(settings.amqp_url).read(settings.forward_to)
    if depth.problem is not None:
        return []
    return [_judged(depth, await _updates_behind(database, settings.forward_name))]


def _judged(depth: QueueDepth, behind: int | None) -> Check:
    if depth.missing:
        words = f"{depth.queue} does not exist"
        return warning(_NAME, words, "the forwarder waits until its owner declares it; is JOBTRAIL_FORWARD_TO right?")
    if behind is None:
        return warning(_NAME, f"nothing was copied to {depth.queue} yet", "start: jobtrail forward")
    if behind == 0:
        return ok(_NAME, f"{depth.queue} has every stored update")
    are = "1 stored update is" if behind == 1 else f"{behind:,} stored updates are"
    found = f"{depth.queue}: {are} not copied yet"
    if behind > _MANY_BEHIND:
        return warning(_NAME, found, "look at the forwarder's health page and log: it is behind")
    return ok(_NAME, found)


async def _updates_behind(database: Database, name: str) -> int | None:
    """Count stored updates that are not copied; None where this forwarder has never run."""
    copied = {position.stream: position for position in await read_positions(database, f"forward {name}")}
    if not copied:
        return None
    behind = 0
    for stored in await read_positions(database):
        position = copied.get(stored.stream)
        done = stored.first_offset - 1 if position is None else position.offset
        behind += max(0, stored.offset - done)
    return behind
