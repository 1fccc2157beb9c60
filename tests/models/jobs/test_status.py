"""Every word for a status seen in the field, and free text."""

import pytest

from jobtrail.models.jobs.status import Status, parse_status


@pytest.mark.parametrize(
    ("status", "message_type", "message", "expected"),
    [
        ("StatusMessage.start: Started.", "StatusMessage.start", "Started.", (Status.STARTED, "Started.")),
        ("StatusMessage.done: Done processing.", None, None, (Status.SUCCEEDED, "Done processing.")),
        ("StatusMessage.retry: (#1) boom: bad", None, None, (Status.RESUBMITTED, "(#1) boom: bad")),
        ("StatusMessage.skip: no", None, None, (Status.SKIPPED, "no")),
        ("StatusMessage.error: a\nb", None, None, (Status.ERROR, "a\nb")),
        ("STARTED", None, None, (Status.STARTED, "")),
        ("PROCESSING: half", None, None, (Status.PROCESSING, "half")),
        ("SUCCEEDED", "SUCCEEDED", "", (Status.SUCCEEDED, "")),
        ("RESUBMITTED: again", None, None, (Status.RESUBMITTED, "again")),
        ("SUBMITTED", None, None, (Status.SUBMITTED, "")),
        ("DONE", None, None, (Status.SUCCEEDED, "")),
        ("Downloading file.", None, None, (Status.PROCESSING, "Downloading file.")),
        ("Error rate is 3 %, going on", None, None, (Status.PROCESSING, "Error rate is 3 %, going on")),
        ("note: see below", None, None, (Status.PROCESSING, "note: see below")),
        ("", None, None, (Status.PROCESSING, "")),
        ("x", "StatusMessage.unheard", "y", (Status.PROCESSING, "y")),
    ],
)
def test_status_words_are_understood_and_free_text_counts_as_progress(
    status: str, message_type: str | None, message: str | None, expected: tuple[Status, str]
) -> None:
    assert parse_status(status, message_type, message) == expected
