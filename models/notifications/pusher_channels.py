"""The names of the private Pusher channels: one per user and one per dataset.

Pusher allows letters, digits and `_-=@,.;` and 164 characters. A colon, which dataset ids may hold, becomes `;`; every
other byte that is not allowed, and `=` and `;` themselves, becomes `=` and two hexadecimal digits.
"""

import hashlib
import re
from urllib.parse import quote, unquote

USER_PREFIX = "private-user-"
DATASET_PREFIX = "private-dataset-"
MAX_CHARACTERS = 164

_NAME = re.compile(r"[A-Za-z0-9_\-=@,.;]{1,164}")
_HASHED = "=="
"""What a hashed name begins with; no escape does."""


def is_channel_name(text: str) -> bool:
    """Say whether Pusher allows a channel of that name."""
    return _NAME.fullmatch(text) is not None


def user_channel(user_id: str) -> str:
    """Name the channel of a user's news.

    Args:
        user_id: Any id.

    Returns:
        A name of its own for each id. One too long for Pusher ends with the id's hash.
    """
    return _channel(USER_PREFIX, user_id)


def dataset_channel(dataset_id: str) -> str:
    """Name the channel of a dataset's news.

    Args:
        dataset_id: Any id.

    Returns:
        A name of its own for each id; of valid dataset ids none is too long.
    """
    return _channel(DATASET_PREFIX, dataset_id)


def dataset_of(channel: str) -> str | None:
    """Say whose news a channel carries.

    Args:
        channel: A channel's name.

    Returns:
        The dataset's id, or None if it is not the channel of a dataset whose id can be read from it.
    """
    encoded = channel.removeprefix(DATASET_PREFIX)
    dataset_id = unquote(encoded.replace(";", ":").replace("%", "=25").replace("=", "%"))
    # Several texts would decode to one id; only the one that we make is its channel.
    return dataset_id if channel == dataset_channel(dataset_id) else None


def _channel(prefix: str, identifier: str) -> str:
    escaped = quote(identifier, safe="@,:")  # leaves letters, digits and _.-~ alone too
    name = prefix + escaped.replace("~", "%7E").replace("%", "=").replace(":", ";")
    if len(name) <= MAX_CHARACTERS:
        return name
    return f"{prefix}{_HASHED}{hashlib.sha256(identifier.encode()).hexdigest()}"
