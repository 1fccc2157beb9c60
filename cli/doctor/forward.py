"""Checks the forwarder, where one is wanted: is its target there, and how far behind the consumer is it?"""

from jobtrail.broker.queue_depth import QueueDepth, QueueGauge
from jobtrail.cli.context import open_database
from jobtrail.cli.doctor.checks import Check, ok, warning
from jobtrail.models.errors import SettingError, StoreError
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.log.positions import read_positions

_NAME = "forwarding"
_MANY_BEHIND = 10_000


async def check_forward(settings: Settings) -> list[Check]:
    """Check what `JOBTRAIL_FORWARD_TO` asks for.

    Args:
        settings: The settings; both URLs must be known.

    Returns:
        The check; none where nothing is forwarded, or a service can't be reached, which its own check tells.
    """
    if settings.forward_to is None:
        return []
    depth = await QueueGauge(settings.amqp_url).read(settings.forward_to)
    if depth.problem is not None:
        return []
    try:
        async with open_database(settings) as database:
            behind = await _updates_behind(database, settings.forward_name)
    except (SettingError, StoreError):
        return []
    return [_judged(depth, behind)]


def _judged(depth: QueueDepth, behind: int | None) -> Check:
    if depth.missing:
        words = f"{depth.queue} is not there"
        return warning(_NAME, words, "the forwarder waits until its owner makes it; is JOBTRAIL_FORWARD_TO right?")
    if behind is None:
        return warning(_NAME, f"nothing was copied to {depth.queue} yet", "start the forwarder: jobtrail forward")
    if behind == 0:
        return ok(_NAME, f"{depth.queue} has all that is stored")
    are = "1 stored update is" if behind == 1 else f"{behind:,} stored updates are"
    found = f"{depth.queue}: {are} not copied yet"
    if behind > _MANY_BEHIND:
        return warning(_NAME, found, "the forwarder is behind; look at its health page and its log")
    return ok(_NAME, found)


async def _updates_behind(database: Database, name: str) -> int | None:
    """Count what is stored and not copied; None where this forwarder has never run."""
    copied = {position.stream: position for position in await read_positions(database, f"forward {name}")}
    if not copied:
        return None
    behind = 0
    for stored in await read_positions(database):
        position = copied.get(stored.stream)
        done = stored.first_offset - 1 if position is None else position.offset
        behind += max(0, stored.offset - done)
    return behind
