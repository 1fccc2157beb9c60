"""Checks dead letters: those that wait to be captured, and those that are open."""

from jobtrail.broker.queue_depth import QueueDepth, QueueGauge
from jobtrail.cli.doctor.checks import Check, ok, warning
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.store.dead_letters.replays import ReplayRepository


async def check_captured_queues(settings: Settings) -> list[Check]:
    """Check the queues captured beside our own dead-letter queue; no checks where the broker can't be reached."""
    gauge = QueueGauge(settings.amqp_url)
    queues = [queue for queue in settings.captured_queues if queue != settings.dead_letter_queue]
    depths = [await gauge.read(queue) for queue in queues]
    return [_captured(depth) for depth in depths if depth.problem is None]


def _captured(depth: QueueDepth) -> Check:
    name = "captured queue"
    if depth.missing:
        words = f"{depth.queue} does not exist"
        return warning(name, words, "it is captured once it is declared; is JOBTRAIL_CAPTURE_QUEUES right?")
    return judge_captured(name, depth.queue, depth.waiting or 0, depth.consumers or 0)


def judge_captured(name: str, queue: str, waiting: int, consumers: int) -> Check:
    """Judge a queue that dead letters are captured from."""
    messages = waiting_words(waiting)
    if consumers == 0:
        advice = "its messages are not captured; start: jobtrail deadletters capture"
        return warning(name, f"{queue}: {messages}, no consumer", advice)
    return ok(name, f"{queue}: {messages}, captured")


def waiting_words(count: int) -> str:
    """Say how many messages wait."""
    return "no messages wait" if count == 0 else "1 message waits" if count == 1 else f"{count:,} messages wait"


def consumer_words(count: int) -> str:
    """Say how many consumers there are."""
    return "no consumer" if count == 0 else "1 consumer" if count == 1 else f"{count} consumers"


async def check_dead_letters(database: Database) -> Check:
    """Check the open dead letters and the replays."""
    unsettled = await CauseRepository(database).unsettled()
    under_way = len(await ReplayRepository(database).under_way())
    replays = f"; replays running: {under_way:,}" if under_way else ""
    if unsettled:
        advice = "see them by error: jobtrail deadletters groups"
        return warning("dead letters", f"{unsettled:,} open{replays}", advice)
    return ok("dead letters", f"none open{replays}")
