"""Tells documents that the database will never take from passing failures."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bson.errors import BSONError
from pymongo.errors import DocumentTooLarge, OperationFailure

from jobtrail.models.dead_letters.reasons import DeadLetterReason
from jobtrail.models.errors import DecodeError
from jobtrail.models.redaction import redact
from jobtrail.store.database import REFUSALS


@contextmanager
def refusals() -> Iterator[None]:
    """Raise a `DecodeError` for a document that the database will never take; for use within a transaction's work."""
    try:
        yield
    except (BSONError, DocumentTooLarge, OverflowError, UnicodeError) as error:
        raise DecodeError(DeadLetterReason.UNSTORABLE, redact(str(error))[:300]) from error
    except OperationFailure as error:
        details = error.details or {}
        refusal: dict[str, Any] = next(
            (entry for entry in [*details.get("writeErrors", ()), details] if "code" in entry), {}
        )
        if refusal.get("code") not in REFUSALS:
            raise
        raise DecodeError(DeadLetterReason.UNSTORABLE, redact(str(refusal.get("errmsg")))[:300]) from error
