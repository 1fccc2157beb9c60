"""A worker process for the tests: reports steps of one job, prints each step's number after its call has returned."""

import os
import sys
import threading

from jobtrail.publisher.reporter import Reporter


def main() -> None:
    amqp_url, queue, spool, job_id, count = sys.argv[1:]
    reporter = Reporter(amqp_url, "tests.worker", reply_queue=queue, spool_path=spool)
    with reporter.job("resource", job_id=job_id) as job:
        for number in range(1, int(count) + 1):
            job.progress(str(number))
            os.write(1, f"{number}\n".encode())
        while True:  # until killed; a wait without an end may miss a signal that comes just before it
            threading.Event().wait(0.1)


if __name__ == "__main__":
    main()
