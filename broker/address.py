"""Where the broker is: one URL, or several for the nodes of a cluster."""

import re
from collections.abc import Sequence

import pika

from jobtrail.models.errors import SettingError
from jobtrail.models.redaction import redact

CONNECT_TIMEOUT_S = 10.0
"""Seconds that opening a connection, or one answer of the broker, may take."""
HEARTBEAT_S = 10
"""Seconds between heartbeats of broker and client, without which a lost peer is not noticed."""
_TCP_OPTIONS = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}
"""A peer whose machine is gone is noticed after some 15 s: idle, or (in milliseconds) with unacknowledged data."""
_EXAMPLE = "amqp://user:password@host:5672/vhost"
_SEVERAL_URLS = re.compile(r"[,\s]+(?=amqps?://)")
_HOSTS = re.compile(r"(?P<head>amqps?://(?:[^@/?#]*@)?)(?P<hosts>[^/?#]+)(?P<tail>.*)", re.DOTALL)


def broker_urls(amqp_url: str) -> Sequence[str]:
    """Split an address into one URL per node, in the given order.

    It is one URL; or several, separated by commas or spaces; or one with several hosts, as in
    `amqp://user:password@one:5672,two:5672/vhost`. Anything else is a `SettingError`.
    """
    urls: list[str] = []
    for part in _SEVERAL_URLS.split(amqp_url.strip().rstrip(",")):
        match = _HOSTS.fullmatch(part)
        if match is None:
            raise SettingError(f"invalid broker URL: it must look like {_EXAMPLE}")
        urls += [f"{match['head']}{host}{match['tail']}" for host in re.split(r"[,\s]+", match["hosts"]) if host]
    return urls


def connection_parameters(amqp_url: str, name: str) -> Sequence[pika.URLParameters]:
    """Make the parameters of each node, to be tried in turn; `name` is what the broker's management pages show."""
    return [_parameters(url, name) for url in broker_urls(amqp_url)]


def broker_address(amqp_url: str) -> str:
    """Name a broker without secrets: `host:port/vhost`, or with several nodes `host:port,host:port/vhost`."""
    nodes = connection_parameters(amqp_url, "")
    hosts = ",".join(f"{node.host}:{node.port}" for node in nodes)
    return f"{hosts}/{nodes[0].virtual_host.strip('/')}"


def _parameters(url: str, name: str) -> pika.URLParameters:
    try:
        parameters = pika.URLParameters(url)
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingError(f"invalid broker URL: {redact(str(error))}") from error
    parameters.client_properties = {"connection_name": name}
    parameters.socket_timeout = CONNECT_TIMEOUT_S
    parameters.stack_timeout = CONNECT_TIMEOUT_S
    parameters.heartbeat = HEARTBEAT_S
    parameters.tcp_options = _TCP_OPTIONS
    return parameters
