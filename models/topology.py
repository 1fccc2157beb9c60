"""Names and arguments of the exchanges and queues, so that every process declares them alike.

Sources: pyClowder 3.0.8 (the `extractors` exchange, `error.<queue>`), RabbitMQ's guides on quorum queues and dead
lettering.
"""

from hashlib import blake2b

DEFAULT_REPLY_STREAM = "jobtrail.updates"
"""The stream that workers' updates go to."""

HEARTBEAT_EXCHANGE = "extractors"
"""pyClowder's durable fanout exchange for heartbeats."""

DELIVERY_LIMIT = 1_000_000
"""Redeliveries after which the broker gives up on a message: practically never. From RabbitMQ 4.0 on its default is 20,
and a consumer that is restarted so often would lose its healthy unacknowledged messages to the dead letters, and
operators who look at dead letters would lose those for good."""


def stream_names(stream: str, partitions: int) -> list[str]:
    """Name the streams that updates are spread over.

    Args:
        stream: The common name.
        partitions: How many there are.

    Returns:
        The common name itself where there is one; else `NAME.0`, `NAME.1` and so on.
    """
    return [stream] if partitions == 1 else [f"{stream}.{number}" for number in range(partitions)]


def stream_of(stream: str, partitions: int, job_id: str) -> str:
    """Choose the stream of a job: always the same one, so that a job's updates stay in order.

    Args:
        stream: The common name.
        partitions: How many streams there are.
        job_id: The job.

    Returns:
        The stream's name.
    """
    if partitions == 1:
        return stream
    digest = blake2b(job_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return f"{stream}.{_bucket(int.from_bytes(digest, 'big'), partitions)}"


def streams_before(stream: str, partitions: int, former: int, name: str) -> list[str]:
    """Tell from which streams jobs may have moved to one when the number of partitions changed.

    Args:
        stream: The common name.
        partitions: How many streams there are.
        former: How many there were.
        name: One of the present streams.

    Returns:
        The former streams whose jobs may be this one's now, without itself.
    """
    before, now = stream_names(stream, former), stream_names(stream, partitions)
    if name in before:
        return [each for each in before if each not in now]
    return before


def _bucket(key: int, buckets: int) -> int:
    """Choose a bucket so that few keys move when their number changes: to new ones, or from those that are gone.

    Source: Lamping and Veach, A Fast, Minimal Memory, Consistent Hash Algorithm, 2014.
    """
    bucket, jump = -1, 0
    while jump < buckets:
        bucket = jump
        key = (key * 2862933555777941757 + 1) % 2**64
        jump = int((bucket + 1) * (2**31 / ((key >> 33) + 1)))
    return bucket


def stream_arguments(*, retention_days: float, retention_gb: float, segment_mb: int) -> dict[str, str | int | bool]:
    """Arguments of a stream of updates.

    Args:
        retention_days: Days that an update stays at the least, if there is room.
        retention_gb: Gigabytes that the stream may take.
        segment_mb: Megabytes of one of its files; only whole files are removed.

    Returns:
        The arguments for `queue.declare`.
    """
    return {
        "x-queue-type": "stream",
        "x-max-age": f"{max(1, round(retention_days * 86_400))}s",
        "x-max-length-bytes": int(retention_gb * 10**9),
        "x-stream-max-segment-size-bytes": segment_mb * 10**6,
    }


def dead_letter_queue_arguments() -> dict[str, str | int | bool]:
    """Arguments of the dead-letter queue: a plain quorum queue.

    Returns:
        The arguments for `queue.declare`.
    """
    return {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}


def heartbeat_queue_arguments(message_ttl_ms: int, max_length: int) -> dict[str, str | int | bool]:
    """Arguments of the monitor's queue: old heartbeats are of no use, so they expire, and new ones push out old ones.

    Args:
        message_ttl_ms: How long a heartbeat waits before it expires, in milliseconds.
        max_length: How many heartbeats wait at the most.

    Returns:
        The arguments for `queue.declare`.
    """
    return {"x-message-ttl": message_ttl_ms, "x-max-length": max_length, "x-overflow": "drop-head"}


def error_queue(queue: str) -> str:
    """Where a worker puts a request that it gives up on.

    Args:
        queue: The worker's queue.

    Returns:
        The name of its error queue.
    """
    return f"error.{queue}"


def receipts_queue_arguments() -> dict[str, str | int | bool]:
    """Arguments of a replay's receipts: a quorum queue, which forgets itself if the replay is never heard of again.

    Returns:
        The arguments for `queue.declare`.
    """
    return {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT, "x-expires": 30 * 24 * 3600 * 1000}
