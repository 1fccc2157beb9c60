"""Properties and routing keys as no client library of good manners would send them."""

import pika

from jobtrail.broker.frames import RawProperties
from jobtrail.models.topology import HEARTBEAT_EXCHANGE
from tests.heartbeat.support import channel_to

_HEADERS_ONLY = b"\x20\x00"
_NESTED = b"\x01aF"


def sized(data: bytes) -> bytes:
    """Bytes behind their number."""
    return len(data).to_bytes(4, "big") + data


def table(entries: bytes) -> bytes:
    """Properties that are headers only."""
    return _HEADERS_ONLY + sized(entries)


def big(size: int) -> bytes:
    """One header; with it the properties' table has as many bytes."""
    return b"\x01aS" + sized(b"x" * (size - 7))


def nested(depth: int) -> bytes:
    """A header that is a table, which holds a table, and so on."""
    entries = b"\x01at\x01"
    for _ in range(depth):
        entries = _NESTED + sized(entries)
    return entries


def publish_raw(amqp_url: str, routing_key: bytes | str, raw: bytes, body: bytes) -> bool:
    """Publish one heartbeat with these properties, confirmed; on a connection of its own, which it may cost.

    Returns:
        Whether the broker took it.
    """
    try:
        with channel_to(amqp_url) as channel:
            channel.confirm_delivery()
            channel.basic_publish(HEARTBEAT_EXCHANGE, routing_key, body, RawProperties(raw))
    except pika.exceptions.AMQPError:
        return False
    return True
