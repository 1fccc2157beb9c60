"""Takes back a job request that no worker has taken yet.

AMQP cannot delete one message in the middle of a queue. So the waiting requests are fetched until the wanted one is
there; that one is acknowledged, and the others are put back at the head of the queue in their order
(`publisher.queue_walk`). What RabbitMQ forces on them: they are flagged as redelivered, on a quorum queue their
delivery count grows by one, and while the walk lasts (0.1 ms for each on a classic queue, 1 ms on a quorum queue) no
worker sees those in front of the wanted one: a worker that is free meanwhile takes a later request first. When the
canceller dies during its walk, a classic queue keeps the order, a quorum queue may not.

The CANCELLED update is confirmed before the request is acknowledged. A crash between the two leaves a request that
still runs, and its start makes the job's next attempt: that is visible, where the other order would leave a job that
hangs as SUBMITTED.
"""

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pika.exceptions import ChannelClosedByBroker

from jobtrail.broker.errors import RESOURCE_LOCKED
from jobtrail.models.errors import DecodeError, JobTrailError, TooLateError
from jobtrail.models.jobs.status import Status
from jobtrail.models.topology import DEFAULT_REPLY_STREAM, stream_of
from jobtrail.publisher.connection import open_channel, publish, publish_properties
from jobtrail.publisher.queue_walk import Held, QueueWalk
from jobtrail.publisher.request import Request
from jobtrail.publisher.submission import plain_update

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingConnection

_POLL_S = 0.05


@dataclass(slots=True, frozen=True, kw_only=True)
class CancelResult:
    """A request that was taken back."""

    job_id: str
    queue: str
    """The worker's queue it was taken from."""
    resource_id: str
    position: int
    """Where it stood in the queue, from 1."""
    elapsed_s: float
    """For how long the requests up to it were hidden from the workers."""


def cancel(
    amqp_url: str,
    queue: str,
    job_id: str,
    *,
    extractor_id: str | None = None,
    user_id: str | None = None,
    reason: str = "Cancelled before a worker took it.",
    reply_queue: str = DEFAULT_REPLY_STREAM,
    partitions: int = 1,
    timeout_s: float = 10.0,
) -> CancelResult:
    """Take back a request that waits in a worker's queue.

    Args:
        amqp_url: The broker.
        queue: The workers' queue.
        job_id: The job.
        extractor_id: The extractor that the job is shown under; None for the queue's name.
        user_id: Who cancels, where the request does not name its user.
        reason: Words of the CANCELLED update.
        reply_queue: Where that update goes when the request names no `reply_to`: a stream, or a queue.
        partitions: How many streams of that name there are; the job's id chooses one.
        timeout_s: How long the walk, and the wait for another cancellation on this queue, may each take, in seconds.

    Returns:
        What was taken back.

    Raises:
        TooLateError: No such request waits in the queue: a worker has taken it, or it was never there. NotFoundError:
        The worker's queue, or the queue for the update, does not exist; nothing was changed. BrokerError: The broker
        could not be reached or went away; the request is as it was, or cancelled. JobTrailError: More than 10,000
        requests wait, or the time was up, or they have been walked too often; nothing was
            changed.
    """
    with open_channel(amqp_url, "jobtrail cancel") as channel:
        _become_the_only_canceller(channel.connection, queue, time.monotonic() + timeout_s)
        started = time.monotonic()
        walk = QueueWalk(channel.connection, queue, timeout_s)
        try:
            held, request = _find(walk, queue, job_id)
            update = plain_update(
                Status.CANCELLED,
                reason,
                extractor_id=extractor_id or queue,
                resource_id=request.resource_id,
                job_id=job_id,
                user_id=request.user_id or user_id,
                reply_queue=request.reply_to or stream_of(reply_queue, partitions, job_id),
                correlation_id=request.correlation_id,
            )
            publish(channel, update.routing_key, update.body, publish_properties(update))
            held.remove()
        finally:
            walk.put_back()
        return CancelResult(
            job_id=job_id,
            queue=queue,
            resource_id=request.resource_id,
            position=held.position,
            elapsed_s=time.monotonic() - started,
        )


def _become_the_only_canceller(connection: "BlockingConnection", queue: str, deadline: float) -> None:
    """Two walks at once would each miss what the other holds. An exclusive queue, which ends with us, is the lock."""
    name = f"jobtrail.cancel.{hashlib.sha256(queue.encode()).hexdigest()[:32]}"
    while True:
        channel = connection.channel()
        try:
            channel.queue_declare(name, exclusive=True)
            return
        except ChannelClosedByBroker as error:
            if error.reply_code != RESOURCE_LOCKED:
                raise
            if time.monotonic() > deadline:
                raise JobTrailError(f"another cancellation is walking the queue {queue!r}; try again") from error
        connection.sleep(_POLL_S)


def _find(walk: QueueWalk, queue: str, job_id: str) -> tuple[Held, Request]:
    found: tuple[Held, Request] | None = None
    for held in walk.messages():
        request = _request_of(held) if found is None else None
        if request is not None and request.job_id == job_id:
            found = held, request
        # What comes back goes behind what came back earlier: so all of that must be in our hands to stay in order.
        if found is not None and not held.redelivered:
            break
    if found is None:
        raise TooLateError(
            f"job {job_id} does not wait in the queue {queue!r}: a worker has taken it, or it was never submitted there"
        )
    return found


def _request_of(held: Held) -> Request | None:
    try:
        return Request.parse(held.body, held.properties)
    except DecodeError:
        return None  # not for us to judge: it goes back like the others
