"""The legacy worker: counts lines, and sends updates like old workers: no job id, no time zone, no heartbeats."""

import json
from datetime import UTC, datetime

from pika.spec import BasicProperties

from jobtrail.models.settings import load_settings
from jobtrail.stack.demo.work_queue import Work, WorkQueue

NAME = "demo.legacy"
_PARTS = 3


def main() -> None:
    """Run the worker until SIGTERM."""
    settings = load_settings()
    with WorkQueue(settings.require_amqp_url(), NAME) as queue:
        for work in queue.take():
            _say(queue, work, "StatusMessage.start: Started processing.", settings.reply_streams[0])
            lines = 0
            for part, _ in queue.parts(work, _PARTS):
                lines += part.count(b"\n")
                _say(queue, work, f"{lines:,} lines so far", settings.reply_streams[0])
            _say(queue, work, f"StatusMessage.done: {lines:,} lines", settings.reply_streams[0])


def _say(queue: WorkQueue, work: Work, status: str, reply_queue: str) -> None:
    update = {
        "file_id": work.fields.get("id"),
        "extractor_id": NAME,
        "status": status,
        "start": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    }
    queue.send(work.properties.reply_to or reply_queue, json.dumps(update).encode(), BasicProperties())


if __name__ == "__main__":
    main()
