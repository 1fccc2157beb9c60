"""Paths in addresses. An id may hold any character, a slash too, which a server's router takes for its own."""

import re
from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import Path
from pydantic import AfterValidator

from jobtrail.models.jobs.wire import MAX_NAME_LENGTH

_SLASH = "\ue000"
"""Stands for an escaped slash while the router looks at a path; Unicode leaves this letter to private use."""


def routed_path(raw_path: bytes) -> str:
    """Decode the path of a request so that an escaped slash parts nothing.

    Args:
        raw_path: The path as it was sent.

    Returns:
        The path that the router is to see.
    """
    sent = raw_path.decode("ascii", "replace").partition("?")[0]
    return unquote(sent.replace("%2f", _SLASH).replace("%2F", _SLASH))


def _with_slashes(text: str) -> str:
    return text.replace(_SLASH, "/")


# A browser takes a backslash for a slash and passes over tabs and line breaks; and `//host` names another site.
_LOCAL = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")


def local_path(text: str) -> str:
    """Return where a form wants to go on: a path of ours, never another site.

    Args:
        text: The path as an address or a form told it, which anybody may have written.

    Returns:
        The path; `/` for what is none.
    """
    return text if _LOCAL.fullmatch(text) else "/"


PathId = Annotated[str, Path(min_length=1, max_length=MAX_NAME_LENGTH), AfterValidator(_with_slashes)]
"""An id, or a name, in a path."""


def address(*parts: str) -> str:
    """Make the path of a page or an endpoint.

    Args:
        parts: Words and ids, such as `jobs` and a job's id.

    Returns:
        Such as `/jobs/a%2Fb`.
    """
    return "/" + "/".join(quote(part, safe="") for part in parts)
