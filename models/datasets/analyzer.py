"""The replies of the analyzer's HTTP API, and what they mean.

Source: the requirement of `dataset:get-status` (there the "TV Python API"). `GET {base}/datasets/{id}` is answered by a
JSON object: `status`, and optionally `progress` (percent), `error_message` or `error`, `dataset_id` or `id`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import responses

from jobtrail.models.datasets.dataset import Answer, DatasetStatus, StatusSource
from jobtrail.models.errors import AnalyzerError, DecodeError, RateLimitedError
from jobtrail.models.jobs.wire import load_object
from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.redaction import redact

MAX_BODY_BYTES = 1024 * 1024
"""Largest body that is read."""
MAX_MESSAGE_LENGTH = 2000
"""Characters that are kept of the reason why a dataset failed."""
_EXCERPT_LENGTH = 300
_WORD_LENGTH = 80

STATUS_WORDS = {
    **dict.fromkeys(("pending", "queued", "waiting", "created"), DatasetStatus.PENDING),
    **dict.fromkeys(
        ("analyzing", "analysing", "processing", "running", "in_progress", "started"), DatasetStatus.ANALYZING
    ),
    **dict.fromkeys(("complete", "completed", "done", "finished", "succeeded", "success"), DatasetStatus.COMPLETE),
    **dict.fromkeys(("failed", "failure", "error", "cancelled", "canceled"), DatasetStatus.FAILED),
}
"""The API's words for a status, in small letters and with `_` between words, and what they mean."""

_REFUSALS = {
    401: AlertKind.API_AUTHENTICATION,
    403: AlertKind.API_AUTHENTICATION,
    404: AlertKind.API_NOT_FOUND,
}


@dataclass(slots=True, frozen=True, kw_only=True)
class Reply:
    """What the API sent for one request."""

    status_code: int
    body: bytes
    """A body of more than `MAX_BODY_BYTES` is cut after one byte more."""
    at: datetime
    """When it had arrived, UTC."""
    duration_s: float
    """Seconds since the request."""
    retry_after: str | None = None
    """The header `Retry-After`."""


def read_reply(reply: Reply, dataset_id: str) -> Answer:
    """Read what the API says of one dataset.

    Args:
        reply: What it sent.
        dataset_id: The dataset it was asked for.

    Returns:
        Its answer.

    Raises:
        RateLimitedError: It wants to be asked less often.
        AnalyzerError: It says something else than a dataset's status; the `kind` tells what.
    """
    try:
        _check_status_code(reply)
        return _read_dataset(_load(reply.body), dataset_id, reply.at)
    except AnalyzerError as error:
        error.response = _bounded(reply.body[: 2 * _EXCERPT_LENGTH].decode(errors="replace"), _EXCERPT_LENGTH)
        raise


def _check_status_code(reply: Reply) -> None:
    code = reply.status_code
    words = f"HTTP {code} {responses.get(code, '')}".rstrip()
    if code == 429:
        raise RateLimitedError(words, retry_after_s(reply.retry_after, reply.at))
    if code in _REFUSALS:
        raise AnalyzerError(_REFUSALS[code], words)
    if 500 <= code < 600:
        raise AnalyzerError(AlertKind.API_SERVICE_ERROR, words)
    if not 200 <= code < 300:
        raise _invalid(words)


def _load(body: bytes) -> dict[str, object]:
    try:
        return load_object(body, MAX_BODY_BYTES)
    except DecodeError as error:
        raise _invalid(f"the body can't be read: {error.detail}") from error


def _read_dataset(fields: Mapping[str, object], dataset_id: str, at: datetime) -> Answer:
    _check_id(fields, dataset_id)
    status = _status(fields.get("status"))
    return Answer(
        source=StatusSource.API,
        at=at,
        status=status,
        progress=_progress(fields.get("progress")),
        error_message=_error_message(fields) if status is DatasetStatus.FAILED else None,
    )


def _check_id(fields: Mapping[str, object], dataset_id: str) -> None:
    """Refuse another dataset's answer. Where both are given, `id` may be the API's own number."""
    value = fields.get("dataset_id")
    if value is None:
        value = fields.get("id")
    number = int(dataset_id) if dataset_id.isdecimal() else None
    if value is not None and value not in (dataset_id, number):
        raise _invalid("it is about another dataset")


def _status(value: object) -> DatasetStatus:
    if not isinstance(value, str):
        raise _invalid("its status is missing or no text")
    word = value.strip().lower().replace(" ", "_").replace("-", "_")
    status = STATUS_WORDS.get(word)
    if status is None:
        raise AnalyzerError(AlertKind.API_UNKNOWN_STATUS, f"its status is {_bounded(value, _WORD_LENGTH)!r}")
    return status


def _progress(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise _invalid("its progress is not a number from 0 to 100")
    return float(value)


def _error_message(fields: Mapping[str, object]) -> str | None:
    value = fields.get("error_message") or fields.get("error")
    if not value:
        return None
    if not isinstance(value, str):
        raise _invalid("its error message is not text")
    return _bounded(value.strip(), MAX_MESSAGE_LENGTH) or None


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Read the header `Retry-After`.

    Args:
        header: Its value: seconds, or a date as HTTP writes it; None where it is missing.
        now: The present time, UTC.

    Returns:
        The seconds to wait; None when it says nothing of use.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())


def _invalid(detail: str) -> AnalyzerError:
    return AnalyzerError(AlertKind.API_INVALID_ANSWER, detail)


def _bounded(text: str, most: int) -> str:
    """Mask the secrets in a text and cut it. It is cut before as well: masking a long text takes long."""
    return redact(text[: 2 * most])[:most]
