"""The dead letter of a message that a service of ours refuses."""

import json
from datetime import UTC, datetime

from jobtrail.broker.properties import decode
from jobtrail.deadletters.reading import Found, caused, read_letter
from jobtrail.models.dead_letters.dead_letter import LetterKind
from jobtrail.models.dead_letters.headers import dead_letter_headers
from jobtrail.models.dead_letters.refused import refused_letter

AT = datetime(2026, 11, 22, 0, 14, 36, tzinfo=UTC)
BODY = json.dumps({"extractor_id": "x", "job_id": "job-1", "status": 7}).encode()


def refused(kind: LetterKind = LetterKind.UPDATE, **other):
    return refused_letter(
        **{
            "queue": "q",
            "reason": "wrong_type",
            "error": "status is a JSON number, not a text; token=s3cr3t",
            "body": BODY,
            "properties": b"\0\0",
            "exchange": "",
            "routing_key": "q",
            "received_at": AT,
            "kind": kind,
            "seq": 17,
            "key": "q/17",
            "message_id": "m",
            "correlation_id": None,
            "max_body_bytes": 1024,
        }
        | other
    )


def test_it_tells_whose_message_it_is_and_no_secret() -> None:
    letter = refused()
    assert (letter.cause.extractor_id, letter.job_id, letter.seq, letter.origin_seq) == ("x", "job-1", 17, 17)
    assert (letter.cause.queue, letter.cause.origin) == ("q", "q")
    assert "s3cr3t" not in letter.error + letter.cause.error
    assert (letter.body, letter.properties, letter.size_bytes) == (BODY, b"\0\0", len(BODY))


def test_only_an_update_has_a_number_in_its_queue() -> None:
    assert refused(LetterKind.HEARTBEAT, seq=0).origin_seq is None
    assert refused(seq=0).origin_seq == 0


def test_a_body_that_is_too_large_is_not_looked_into() -> None:
    letter = refused(max_body_bytes=10)
    assert (letter.cause.extractor_id, letter.job_id, letter.body) == ("", None, BODY)


def test_its_group_is_that_of_the_same_cause_read_from_a_queue(settings) -> None:
    one, other = refused(), refused(error="status is a JSON number, not a text; token=4711")
    assert one.cause_id == other.cause_id
    assert one.cause_id != refused(reason="other").cause_id
    assert one.cause_id != refused(LetterKind.HEARTBEAT).cause_id
    found = Found(
        queue="q", body=BODY, raw=b"", properties=decode(b""), exchange="", routing_key="q", at=AT
    )  # fmt: skip
    found.properties.headers = dead_letter_headers(
        reason="wrong_type", error=one.error, queue="q", exchange="", routing_key="q", received_at=AT, seq=17
    )
    read = read_letter(found, settings)
    caused(read)
    assert (read.cause, read.cause_id) == (one.cause, one.cause_id)
