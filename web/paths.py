"""Paths in addresses. An id may hold any character, even a slash, which a router would take for its own."""

import re
from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import Path
from pydantic import AfterValidator

from jobtrail.models.jobs.wire import MAX_NAME_LENGTH

_SLASH = "\ue000"
"""Stands for an escaped slash while the router looks at a path; Unicode leaves this letter to private use."""


def routed_path(raw_path: bytes) -> str:
    """Decode the path of a request so that an escaped slash does not split it."""
    sent = raw_path.decode("ascii", "replace").partition("?")[0]
    return unquote(sent.replace("%2f", _SLASH).replace("%2F", _SLASH))


def _with_slashes(text: str) -> str:
    return text.replace(_SLASH, "/")


# A browser takes a backslash for a slash and passes over tabs and line breaks; and `//host` names another site.
_LOCAL = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")


def local_path(text: str) -> str:
    """Return the path to which a form leads on; `/` for what names another site or no path."""
    return text if _LOCAL.fullmatch(text) else "/"


PathId = Annotated[str, Path(min_length=1, max_length=MAX_NAME_LENGTH), AfterValidator(_with_slashes)]
"""An id, or a name, in a path."""


def address(*parts: str) -> str:
    """Make the path of a page or an endpoint, such as `/jobs/a%2Fb` of `jobs` and an id."""
    return "/" + "/".join(quote(part, safe="") for part in parts)
