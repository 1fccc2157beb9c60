"""Gives a worker a job: the SUBMITTED update, then the request that pyClowder's connector can read."""

import json
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import pika

from jobtrail.models.errors import NotFoundError
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import MAX_ID_LENGTH, encode_status_update
from jobtrail.models.topology import DEFAULT_REPLY_STREAM, stream_of
from jobtrail.publisher.connection import open_channel, publish, publish_properties
from jobtrail.publisher.outgoing import OutgoingUpdate

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

ResourceType = Literal["file", "dataset"]

NO_CLOWDER = "http://localhost/"
"""pyClowder refuses a request without a host, even where its extractor never asks Clowder for anything."""


def submit(
    amqp_url: str,
    queue: str,
    *,
    resource_id: str,
    extractor_id: str | None = None,
    user_id: str | None = None,
    job_id: str | None = None,
    resource_type: ResourceType = "file",
    parameters: Mapping[str, object] | None = None,
    filename: str = "",
    dataset_id: str = "",
    file_size: int = 0,
    host: str = NO_CLOWDER,
    secret_key: str = "",
    reply_queue: str = DEFAULT_REPLY_STREAM,
    partitions: int = 1,
) -> str:
    """Ask the workers of a queue for a job.

    Args:
        amqp_url: The broker.
        queue: The workers' queue.
        resource_id: The file's or dataset's id.
        extractor_id: The extractor that the job is shown under; None for the queue's name, as pyClowder has it.
        user_id: Who asks.
        job_id: At most 128 characters; None makes a UUID. Submitting a job id twice asks for the work twice.
        resource_type: What the resource is.
        parameters: For the extractor.
        filename: The file's name.
        dataset_id: The dataset that the file is in.
        file_size: In bytes.
        host: The Clowder that pyClowder downloads from.
        secret_key: pyClowder's key for that Clowder.
        reply_queue: Where the updates go: a stream, or a queue. The request's `reply_to` names it.
        partitions: How many streams of that name there are; the job's id chooses one.

    Returns:
        The job's id.

    Raises:
        NotFoundError: The workers' queue (then the job ends as CANCELLED) or the reply queue does not exist.
        BrokerError: The broker could not be reached or went away. Then the request may or may not have been taken.
        ValueError: An id is blank, or the job id too long.
    """
    job_id = str(uuid.uuid4()) if job_id is None else job_id
    if not resource_id.strip() or not job_id.strip() or len(job_id) > MAX_ID_LENGTH or not host.strip():
        raise ValueError(
            f"resource_id, host and job_id must not be blank, job_id at most {MAX_ID_LENGTH} characters long"
        )
    if resource_type == "dataset":
        dataset_id = resource_id
    extractor_id = extractor_id or queue
    reply_queue = stream_of(reply_queue, partitions, job_id)
    correlation_id = str(uuid.uuid4())
    request = {
        "id": resource_id,
        "intermediateId": resource_id,
        "datasetId": dataset_id,
        "filename": filename,
        "fileSize": file_size,
        "host": host,
        "secretKey": secret_key,
        "flags": "",
        "retry_count": 0,
        "resource_type": resource_type,
        # pyClowder looks for ".dataset." and ".file." in it; an extractor's name may contain either, so it stays out.
        "routing_key": f"extractors.{resource_type}.submitted",
        "parameters": dict(parameters or {}),
        "jobid": job_id,
        "job_id": job_id,
        "extractor_id": extractor_id,
        **({"user_id": user_id} if user_id else {}),
    }
    body = json.dumps(request).encode()

    def say(channel: "BlockingChannel", state: Status, message: str) -> None:
        update = plain_update(
            state,
            message,
            extractor_id=extractor_id,
            resource_id=resource_id,
            job_id=job_id,
            user_id=user_id,
            reply_queue=reply_queue,
            correlation_id=correlation_id,
        )
        publish(channel, reply_queue, update.body, publish_properties(update))

    with open_channel(amqp_url, "jobtrail submit") as channel:
        # First, so that the job is on record before a worker can speak of it.
        say(channel, Status.SUBMITTED, f"Submitted to {queue}.")
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=2,
            message_id=str(uuid.uuid4()),
            correlation_id=correlation_id,
            reply_to=reply_queue,
            timestamp=int(time.time()),
        )
        try:
            publish(channel, queue, body, properties)
        except NotFoundError:
            say(channel, Status.CANCELLED, f"There is no queue {queue}: no worker of it has ever run.")
            raise
    return job_id


def plain_update(
    state: Status,
    message: str,
    *,
    extractor_id: str,
    resource_id: str,
    job_id: str,
    user_id: str | None,
    reply_queue: str,
    correlation_id: str | None,
) -> OutgoingUpdate:
    """Make an update that comes from no worker, hence without producer and number.

    Args:
        state: What happened.
        message: In which words.
        extractor_id: The extractor.
        resource_id: The file's or dataset's id.
        job_id: The job.
        user_id: Whose it is.
        reply_queue: Where the update goes.
        correlation_id: The submitter's mark.

    Returns:
        The update.
    """
    now = datetime.now(UTC)
    return OutgoingUpdate(
        message_id=str(uuid.uuid4()),
        routing_key=reply_queue,
        correlation_id=correlation_id,
        timestamp=int(now.timestamp()),
        body=encode_status_update(
            extractor_id=extractor_id,
            resource_id=resource_id,
            job_id=job_id,
            state=state,
            message=message,
            event_time=now,
            extra={"user_id": user_id},
        ),
        droppable=False,
    )
