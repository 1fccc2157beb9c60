"""The digest worker: checksums of files, reported with our publisher. Two replicas of it run in the demo."""

import hashlib

from jobtrail.publisher.reporter import Reporter
from jobtrail.stack.demo.work_queue import Work, WorkQueue
from jobtrail.stack.demo.worker import reporting_worker

NAME = "demo.digest"
_PARTS = 12


def main() -> None:
    """Run the worker until SIGTERM."""
    with reporting_worker(NAME, "1.2.0", "Computes the SHA-256 and BLAKE2 checksums of a file.") as (queue, reporter):
        for work in queue.take():
            try:
                _digest(queue, reporter, work)
            except OSError:
                queue.give_up(work)


def _digest(queue: WorkQueue, reporter: Reporter, work: Work) -> None:
    with reporter.job_from_request(work.fields, work.properties) as job:
        sha256, blake2 = hashlib.sha256(), hashlib.blake2b(digest_size=16)
        for part, percent in queue.parts(work, _PARTS):
            sha256.update(part)
            blake2.update(part)
            job.progress(f"Read {percent:.0f}% of {work.path.name}", percent=percent)
        job.progress(f"sha256 {sha256.hexdigest()[:16]}… blake2 {blake2.hexdigest()[:16]}…", percent=100)


if __name__ == "__main__":
    main()
