"""Why a message became a dead letter: each reason once, with its words."""

from enum import StrEnum


class DeadLetterReason(StrEnum):
    """Why a message became a dead letter. Brokers may give reasons beside these; `reason_words` knows what to say."""

    words: str

    def __new__(cls, value: str, words: str) -> "DeadLetterReason":
        """Make a member of its value, which is stored and sent, and its words."""
        reason = str.__new__(cls, value)
        reason._value_ = value
        reason.words = words
        return reason

    EMPTY = "empty", "The message has no body."
    NOT_JSON = "not_json", "The body is not valid JSON, in UTF-8 or Latin-1."
    TOO_DEEP = "too_deep", "The JSON is nested too deeply to be read."
    TOO_LARGE = "too_large", "The body is larger than JOBTRAIL_MAX_BODY_BYTES allows."
    NOT_OBJECT = "not_object", "The body is JSON, but not an object."
    MISSING_FIELD = "missing_field", "A required field is missing, null or blank."
    WRONG_TYPE = "wrong_type", "A field has a value of the wrong type."
    OUT_OF_RANGE = "out_of_range", "A number or the length of a text is out of range."
    BAD_TIME = "bad_time", "Invalid timestamp."
    UNSTORABLE = "unstorable", "The database rejected the document, even on its own."

    GAVE_UP = "gave_up", "The worker gave up on this job request."

    REJECTED = "rejected", "A consumer rejected the message without requeueing it."
    EXPIRED = "expired", "The message waited longer than its time to live."
    MAXLEN = "maxlen", "The queue was full."
    DELIVERY_LIMIT = "delivery_limit", "The message was delivered too often without being acknowledged."

    UNSTATED = "untold", "The message does not say why it is here."


_WORDS = {reason.value: reason.words for reason in DeadLetterReason}


def reason_words(reason: str) -> str:
    """Say a reason in words.

    Args:
        reason: A `DeadLetterReason`, or any other word of a broker.

    Returns:
        One sentence.
    """
    return _WORDS.get(reason, f"Reason given by the broker: {reason}.")
