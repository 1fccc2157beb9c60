"""A job request, as a worker takes it from its queue."""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from jobtrail.models.dead_letters.reasons import DeadLetterReason
from jobtrail.models.errors import DecodeError
from jobtrail.models.jobs.wire import MAX_ID_LENGTH, MAX_NAME_LENGTH, load_object
from jobtrail.publisher.outgoing import encodable, fits_short_string

logger = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 128 * 1024 * 1024
"""RabbitMQ's own limit of a message."""


class RequestProperties(Protocol):
    """What is read of a request's AMQP properties; pika's `BasicProperties` and aio-pika's messages have it."""

    @property
    def reply_to(self) -> str | None:
        """The queue that status updates go to."""

    @property
    def correlation_id(self) -> str | None:
        """The submitter's mark, sent back with every update."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Request:
    """Which work is to be done, and where its updates go."""

    resource_id: str
    """A file's or a dataset's id."""
    job_id: str
    user_id: str | None = None
    reply_to: str | None = None
    """None: the reporter's own reply queue."""
    correlation_id: str | None = None

    @classmethod
    def create(
        cls,
        resource_id: str,
        *,
        job_id: str | None = None,
        user_id: str | None = None,
        reply_to: str | None = None,
        correlation_id: str | None = None,
    ) -> "Request":
        """Make a request from its parts. What no update could carry is left out or replaced: the work goes on.

        Args:
            resource_id: A file's or a dataset's id.
            job_id: The job; a UUID is made without one, or when it is longer than 128 characters.
            user_id: Who requested it.
            reply_to: The queue for its updates; None for the reporter's own.
            correlation_id: The submitter's mark.

        Returns:
            The request.

        Raises:
            ValueError: The resource id is blank or longer than 512 characters.
        """
        resource_id = encodable(str(resource_id))
        if not resource_id.strip() or len(resource_id) > MAX_NAME_LENGTH:
            raise ValueError(f"a resource id must have 1 to {MAX_NAME_LENGTH} characters; this one is blank or longer")
        return cls(
            resource_id=resource_id,
            job_id=_usable(job_id, "job_id", MAX_ID_LENGTH) or str(uuid.uuid4()),
            user_id=_usable(user_id, "user_id", MAX_NAME_LENGTH),
            reply_to=_usable(reply_to, "reply_to", MAX_NAME_LENGTH, short=True),
            correlation_id=_usable(correlation_id, "correlation_id", MAX_NAME_LENGTH, short=True),
        )

    @classmethod
    def parse(cls, body: bytes | str | Mapping[str, object], properties: RequestProperties | None = None) -> "Request":
        """Read a request as pyClowder's connector does: the job id from `jobid`, else `job_id`; the resource from `id`.

        Args:
            body: The message's body, or what was decoded from it.
            properties: The message's AMQP properties.

        Returns:
            The request; with a new UUID as job id where it names none.

        Raises:
            DecodeError: The body is not a JSON object, or names no resource.
        """
        if isinstance(body, str):
            body = body.encode("utf-8", "surrogatepass")
        fields = load_object(body, MAX_REQUEST_BYTES) if isinstance(body, bytes) else body
        try:
            return cls.create(
                _resource_id(fields),
                job_id=_text(fields.get("jobid") if "jobid" in fields else fields.get("job_id")),
                user_id=_text(fields.get("user_id")),
                reply_to=properties.reply_to if properties else None,
                correlation_id=properties.correlation_id if properties else None,
            )
        except ValueError as error:
            raise DecodeError(DeadLetterReason.MISSING_FIELD, str(error)) from error


def _resource_id(fields: Mapping[str, object]) -> str:
    """Like pyClowder: a dataset's message names the triggering file in `id`, the dataset in `datasetId`."""
    dataset_id = _text(fields.get("datasetId"))
    if dataset_id and (".dataset." in str(fields.get("routing_key", "")) or fields.get("resource_type") == "dataset"):
        return dataset_id
    return _text(fields.get("id")) or _text(fields.get("resourceId")) or ""


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _usable(value: str | None, name: str, max_length: int, *, short: bool = False) -> str | None:
    if value is None or not str(value).strip():
        return None
    value = encodable(str(value))
    if len(value) > max_length or (short and not fits_short_string(value)):
        logger.warning(
            "A request's %s cannot be sent and is ignored", name, extra={"action": "publisher.request_field_ignored"}
        )
        return None
    return value
