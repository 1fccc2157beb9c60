"""The flaky worker: checks the encoding of files, over a connection that breaks now and then."""

from jobtrail.publisher.reporter import Job, Reporter
from jobtrail.stack.demo.work_queue import Work, WorkQueue
from jobtrail.stack.demo.worker import reporting_worker

NAME = "demo.flaky"
MAX_ATTEMPTS = 3
_PARTS = 4
_BREAKS_EVERY = 3
"""The connection breaks for the first of so many requests."""


def main() -> None:
    """Run the worker until SIGTERM."""
    with reporting_worker(NAME, "0.9-beta", "Checks that a file is UTF-8 text; fails now and then.") as (
        queue,
        reporter,
    ):
        for taken, work in enumerate(queue.take()):
            attempt(queue, reporter, work, breaks=taken % _BREAKS_EVERY == 0)


def attempt(queue: WorkQueue, reporter: Reporter, work: Work, *, breaks: bool) -> None:
    """Make one attempt; after a failure the request goes back to the queue, after the last one to the error queue."""
    number = work.retry_count + 1
    try:
        with reporter.job_from_request(work.fields, work.properties) as job:
            try:
                _check(queue, work, job, breaks=breaks)
            except (OSError, UnicodeDecodeError) as error:
                if number >= MAX_ATTEMPTS:
                    raise
                job.retry(f"(#{number}) {error}")
                queue.put_back(work)
    except (OSError, UnicodeDecodeError):
        queue.give_up(work)


def _check(queue: WorkQueue, work: Work, job: Job, *, breaks: bool) -> None:
    content = b""
    for part, percent in queue.parts(work, _PARTS):
        if breaks and content:
            raise ConnectionResetError(f"the connection broke after {len(content):,} bytes of {work.path.name}")
        content += part
        job.progress(f"Checked {percent:.0f}% of {work.path.name}", percent=percent)
    job.progress(f"{len(content.decode('utf-8')):,} characters of sound UTF-8", percent=100)


if __name__ == "__main__":
    main()
