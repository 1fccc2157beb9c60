"""Names and arguments of the exchanges and queues, so that every process declares them alike.

Sources: pyClowder 3.0.8 (the `extractors` exchange, `error.<queue>`), RabbitMQ's guides on quorum queues and dead
lettering.
"""

HEARTBEAT_EXCHANGE = "extractors"
"""pyClowder's durable fanout exchange for heartbeats."""

DELIVERY_LIMIT = 1_000_000
"""Redeliveries after which the broker gives up on a message: practically never. From RabbitMQ 4.0 on its default is 20,
and a consumer that is restarted so often would lose its healthy unacknowledged messages to the dead letters, and
operators who look at dead letters would lose those for good."""


def reply_queue_arguments(dead_letter_queue: str) -> dict[str, str | int | bool]:
    """Arguments of a reply queue.

    Args:
        dead_letter_queue: Where the broker puts what it gives up on; `at-least-once` with `reject-publish` makes sure
            that nothing is lost on that way.

    Returns:
        The arguments for `queue.declare`: a quorum queue with one consumer active at a time, so that order holds.
    """
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-single-active-consumer": True,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead_letter_queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
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
