"""Status updates as pyClowder writes them, for the tests."""

import json
from typing import Any


def update(job_id: Any, kind: str, message: str, /, **fields: Any) -> bytes:
    """Write one update.

    Args:
        job_id: The job.
        kind: pyClowder's name of the status: start, processing, done, error, skip, retry.
        message: Its words.
        fields: Fields to add or replace; the value `...` leaves a field out.
    """
    body = {
        "file_id": "5cb2d2d3a4be0f9fd3400001",
        "extractor_id": "ncsa.wordcount",
        "job_id": job_id,
        "status": f"StatusMessage.{kind}: {message}",
        "start": "2026-11-22T00:14:36-00:00",
        "message_type": f"StatusMessage.{kind}",
        "message": message,
    } | fields
    return json.dumps({name: value for name, value in body.items() if value is not ...}).encode()
