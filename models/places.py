"""Where a service is, told without the secrets of its URL."""

import re

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:.*@)?(?P<hosts>[^/?#]*)(?P<path>/[^?#]*)?.*", re.IGNORECASE | re.DOTALL
)


def place_of(url: str) -> str:
    """Tell where a URL points to.

    Args:
        url: The URL of a broker or database, with or without user, password and options.

    Returns:
        Its hosts and its path, such as `amqp://localhost:5672/vhost`; `(not a URL)` where it is none.
    """
    parts = _URL.fullmatch(url.strip())
    if parts is None:
        return "(not a URL)"
    path = parts["path"] or ""
    return f"{parts['scheme']}://{parts['hosts']}{'' if path == '/' else path}"
