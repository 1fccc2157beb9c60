"""The headers by which a bridge marks each copy: where it comes from, and whether it may be a repetition."""

from collections.abc import Mapping

from jobtrail.models.dead_letters.headers import text_header
from jobtrail.models.delivery import BridgeMark
from jobtrail.models.jobs.wire import MAX_INT64

QUEUE_HEADER = "jobtrail-bridge-queue"
TERM_HEADER = "jobtrail-bridge-term"
REDELIVERED_HEADER = "jobtrail-bridge-redelivered"


def mark_headers(mark: BridgeMark) -> Mapping[str, object]:
    """Write a mark as AMQP headers."""
    headers: dict[str, object] = {QUEUE_HEADER: mark.queue, TERM_HEADER: mark.term}
    if mark.redelivered:
        headers[REDELIVERED_HEADER] = True
    return headers


def read_mark(headers: Mapping[str, object]) -> BridgeMark | None:
    """Read a mark, if there is one."""
    queue, term = text_header(headers, QUEUE_HEADER), headers.get(TERM_HEADER)
    if queue is None or not isinstance(term, int) or not 0 <= term <= MAX_INT64:
        return None
    return BridgeMark(queue=queue, term=term, redelivered=headers.get(REDELIVERED_HEADER) is True)
