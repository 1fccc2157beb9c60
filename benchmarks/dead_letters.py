"""How fast dead letters are captured and replayed, and how fast the page of their groups is with many stored."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import quantiles

import pika

from benchmarks.backlog import body, declare
from benchmarks.drain import drain
from benchmarks.figures import Figure, Target, figure_of
from benchmarks.scale import Scale
from benchmarks.serving import serving
from benchmarks.stored_letters import store_letters
from benchmarks.workbench import DEAD_LETTERS, BenchmarkError, Lane, MeasuredProcess, Workbench
from jobtrail.cli.actor import this_account
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.models.dead_letters.dead_letter import LetterFilter
from jobtrail.models.dead_letters.headers import dead_letter_headers
from jobtrail.operations.audit import AuditBook
from jobtrail.operations.dead_letters import DeadLetterActs
from jobtrail.store.access.audit import AuditRepository
from jobtrail.store.database import Database

CAUSES = 40
PAGES = 200
_POLL_S = 0.02
_STALL_S = 60.0


def letters(workbench: Workbench, scale: Scale) -> Iterator[Figure]:
    """Capture letters of forty causes, then replay all of them to the stream, without stages and rate.

    Args:
        workbench: The services.
        scale: How many.

    Yields:
        The figures.
    """
    captured, replayed, memory = [], [], []
    for number in range(scale.rounds):
        lane = workbench.lane("letters")
        workbench.say(f"letters, round {number + 1} of {scale.rounds}: {scale.letters:,} dead letters")
        _fill(lane, scale.letters)
        result = drain(workbench, lane, scale.letters, "capture", DEAD_LETTERS, collection="dead_letters")
        captured.append(result.events_per_s)
        with workbench.running(lane, *DEAD_LETTERS) as process:
            asyncio.run(_ask_for_replay(lane))
            replayed.append(_replays_per_s(workbench, lane, scale.letters, process))
            memory.append(process.peak_memory_mb())
        workbench.drop(lane)
    yield figure_of(
        captured,
        "letters.captured_per_s",
        "letters/s",
        "dead letters captured by one process",
        Target("at least", 5000),
    )
    yield figure_of(
        replayed,
        "letters.replayed_per_s",
        "letters/s",
        "dead letters replayed by one process",
        Target("at least", 3000),
    )
    yield figure_of(memory, "letters.memory", "MB", "resident memory of the process that replays")


def letter_groups(workbench: Workbench, scale: Scale) -> Iterator[Figure]:
    """Ask for the page of groups, and for that of one group, with many letters stored.

    Args:
        workbench: The services.
        scale: How many are stored.

    Yields:
        The figures.
    """
    lane = workbench.lane("groups")
    workbench.say(f"letter groups: storing {scale.stored_letters:,} letters")
    cause_ids = store_letters(workbench, lane, scale.stored_letters, CAUSES)
    workbench.checkpoint()
    with serving(workbench, lane) as (server, web):
        pages = {"groups": "/dead-letters", "group": f"/dead-letters/groups/{cause_ids[0]}"}
        for name, path in pages.items():
            server.get(path)  # templates are compiled, connections opened
            took_ms = []
            for _ in range(PAGES):
                web.check()
                took_ms.append(server.get(path)[1])
            yield figure_of(
                [quantiles(took_ms, n=100)[94]],
                f"letter_groups.{name}_p95",
                "ms",
                f"the page of {name}, {scale.stored_letters:,} letters stored: 95 of 100 within",
                Target("less than", 100),
            )
    workbench.drop(lane)


def _fill(lane: Lane, count: int) -> None:
    """Put letters into the dead-letter queue as a consumer does."""
    with pika.BlockingConnection(pika.URLParameters(lane.urls.amqp_url)) as connection:
        channel = connection.channel()
        declare(channel, lane.streams, lane.dead_letter_queue)
        with ProgressTeller("publishing") as progress:
            progress.total = count
            for seq in range(1, count + 1):
                headers = dead_letter_headers(
                    reason="missing_field",
                    error=f"field_{chr(97 + seq % CAUSES // 2)}{seq % 2 * 'b'} of update {seq} is missing",
                    queue=lane.stream,
                    exchange="",
                    routing_key=lane.stream,
                    received_at=datetime.now(UTC),
                    seq=seq,
                )
                channel.basic_publish(
                    "",
                    lane.dead_letter_queue,
                    body(f"job-{seq % 1000}", "processing", f"Step {seq} of the work on this file"),
                    pika.BasicProperties(
                        delivery_mode=2,
                        message_id=f"{lane.stream}/{seq}",
                        headers=headers,  # type: ignore[arg-type]
                    ),
                )
                if seq % 1000 == 0:
                    progress.note(seq)


async def _ask_for_replay(lane: Lane) -> None:
    async with Database(lane.urls.mongo_url, lane.database) as database:
        acts = DeadLetterActs(database, AuditBook(AuditRepository(database)))
        await acts.replay(this_account(), LetterFilter(), staged=False)


def _replays_per_s(workbench: Workbench, lane: Lane, count: int, process: MeasuredProcess) -> float:
    """Wait until all is sent; return the rate from the first batch to the last."""
    replays = workbench.client[lane.database]["replays"]
    first: tuple[float, int] | None = None
    sent, grew_at = 0, time.monotonic()
    while sent < count:
        time.sleep(_POLL_S)
        process.check()
        now, before = time.monotonic(), sent
        sent = int(str((replays.find_one({}, {"sent": 1}) or {}).get("sent", 0)))
        if sent > before:
            grew_at = now
            first = first or (now, sent)
        elif now - grew_at > _STALL_S:
            raise BenchmarkError(f"the replay stands still at {sent:,} of {count:,} letters")
    if first is None or first[1] >= count:
        raise BenchmarkError(f"{count:,} letters were replayed too fast to be timed")
    rate = (count - first[1]) / (now - first[0])
    workbench.say(f"replay: {rate:,.0f} letters/s")
    return rate
