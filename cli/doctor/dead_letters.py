"""Checks dead letters: what waits in the queues that are captured, and what is to be looked at."""

from jobtrail.broker.queue_depth import QueueDepth, QueueGauge
from jobtrail.cli.context import open_database
from jobtrail.cli.doctor.checks import Check, ok, warning
from jobtrail.models.errors import SettingError, StoreError
from jobtrail.models.settings import Settings
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.store.dead_letters.replays import ReplayRepository


async def check_captured_queues(settings: Settings) -> list[Check]:
    """Check the queues that are captured beside our own dead-letter queue.

    Args:
        settings: The settings; the broker's URL must be known.

    Returns:
        The checks; none where the broker can't be reached, which its own check tells.
    """
    gauge = QueueGauge(settings.amqp_url)
    queues = [queue for queue in settings.captured_queues if queue != settings.dead_letter_queue]
    depths = [await gauge.read(queue) for queue in queues]
    return [_captured(depth) for depth in depths if depth.problem is None]


def _captured(depth: QueueDepth) -> Check:
    name = "captured queue"
    if depth.missing:
        words = f"{depth.queue} is not there"
        return warning(name, words, "it is captured once somebody makes it; is JOBTRAIL_CAPTURE_QUEUES right?")
    return judge_captured(name, depth.queue, depth.waiting or 0, depth.consumers or 0)


def judge_captured(name: str, queue: str, waiting: int, consumers: int) -> Check:
    """Judge a queue that dead letters are captured from.

    Args:
        name: The check's name.
        queue: The queue.
        waiting: Messages that wait in it.
        consumers: Who takes from it.

    Returns:
        The check.
    """
    messages = waiting_words(waiting)
    if consumers == 0:
        advice = "nobody captures it: start jobtrail deadletters capture"
        return warning(name, f"{queue}: {messages}, no consumer", advice)
    return ok(name, f"{queue}: {messages}, is captured")


def waiting_words(count: int) -> str:
    """Say how many messages wait."""
    return "no messages wait" if count == 0 else "1 message waits" if count == 1 else f"{count:,} messages wait"


def consumer_words(count: int) -> str:
    """Say how many consumers there are."""
    return "no consumer" if count == 0 else "1 consumer" if count == 1 else f"{count} consumers"


async def check_letters(settings: Settings) -> list[Check]:
    """Check the letters that are to be looked at, and the replays.

    Args:
        settings: The settings; the database's URL must be known.

    Returns:
        The checks; none where the database can't be reached, which its own check tells.
    """
    try:
        async with open_database(settings) as database:
            unsettled = await CauseRepository(database).unsettled()
            under_way = len(await ReplayRepository(database).under_way())
    except (SettingError, StoreError):
        return []
    replays = f"; replays under way: {under_way:,}" if under_way else ""
    if unsettled:
        advice = "see them by cause: jobtrail deadletters groups"
        return [warning("dead letters", f"to be looked at: {unsettled:,}{replays}", advice)]
    return [ok("dead letters", f"none is to be looked at{replays}")]
