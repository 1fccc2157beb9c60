"""`python -m benchmarks`: everything is measured in one run, on private services that are removed at its end."""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pika.exceptions import AMQPError
from pymongo.errors import PyMongoError

from benchmarks import report
from benchmarks.big_store import big_store
from benchmarks.datasets import dataset_latency, dataset_run
from benchmarks.dead_letters import letter_groups, letters
from benchmarks.figures import Figure
from benchmarks.heartbeats import heartbeats
from benchmarks.ingest import ingest, one_at_a_time, partitions
from benchmarks.latency import latency
from benchmarks.memory import memory
from benchmarks.reporting import reporting
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.web import web_pages, web_shown
from benchmarks.workbench import REPOSITORY, BenchmarkError, Workbench
from jobtrail.models.errors import JobTrailError
from jobtrail.stack.private_stack import PrivateStack

Benchmark = Callable[[Workbench, Scale], Iterator[Figure]]

BENCHMARKS: dict[str, Benchmark] = {
    "ingest": ingest,
    "partitions": partitions,
    "one-at-a-time": one_at_a_time,
    "latency": latency,
    "big-store": big_store,
    "memory": memory,
    "reporting": reporting,
    "heartbeats": heartbeats,
    "dataset-run": dataset_run,
    "dataset-latency": dataset_latency,
    "web-pages": web_pages,
    "web-shown": web_shown,
    "letters": letters,
    "letter-groups": letter_groups,
}
_QUIET = 0.7
"""A load from which on other work is told of."""
_NOT_PASSED_ON = ("JOBTRAIL_AMQP_URL", "JOBTRAIL_MONGO_URL", "JOBTRAIL_DATA_DIR")


def main() -> int:
    """Measure, tell and write what was measured.

    Returns:
        0, whether targets are met or not; 1 when something broke; 130 when it was interrupted.
    """
    arguments = _arguments()
    for name in _NOT_PASSED_ON:
        os.environ.pop(name, None)
    begun_at, load = datetime.now(UTC), os.getloadavg()[0]
    if load > _QUIET:
        sys.stderr.write(
            f"warning: the machine is busy (load {load:.1f}), the figures will be lower than they could be\n"
        )
    figures: list[Figure] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        broken = _measure(arguments.only or list(BENCHMARKS), QUICK if arguments.quick else FULL, figures)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing is written\n")
        return 130
    finally:
        if figures:
            report.show(figures)
    if figures:
        file = report.write(figures, begun_at=begun_at, load=load, quick=arguments.quick)
        sys.stdout.write(f"written to {file.relative_to(REPOSITORY)}\n")
    for line in broken:
        sys.stderr.write(f"error: {line}\n")
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure JobTrail's speed and memory.")
    parser.add_argument("--quick", action="store_true", help="a short run, with rougher figures")
    parser.add_argument(
        "--only", action="append", choices=list(BENCHMARKS), metavar="NAME",
        help=f"only this one; may be repeated: {', '.join(BENCHMARKS)}",
    )  # fmt: skip
    return parser.parse_args()


def _measure(names: Sequence[str], scale: Scale, figures: list[Figure]) -> list[str]:
    """Carry benchmarks out; return what broke."""
    begun_at = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - begun_at:4.0f} s] {line}\n")

    broken: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="jobtrail-benchmarks-") as folder,
        PrivateStack(Path(folder) / "stack", on_progress=say) as stack,
    ):
        workbench = Workbench(stack.urls, Path(folder), say)
        for name in names:
            try:
                figures.extend(BENCHMARKS[name](workbench, scale))
            except (BenchmarkError, JobTrailError, AMQPError, PyMongoError) as error:
                broken.append(f"{name}: {type(error).__name__}: {error}")
                say(broken[-1])
        say("stopping the services")
    say("done")
    return broken


if __name__ == "__main__":
    sys.exit(main())
