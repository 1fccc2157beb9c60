"""What an extractor says of itself, `extractor_info`, in the forms that Clowder gives it.

Workers write it freely: what is not of the form that Clowder promises is left out, so that its readers get none of it.
"""

from collections.abc import Mapping
from hashlib import blake2b

Info = Mapping[str, object]

MATURITY = "Development"
CATEGORIES = ["EXTRACT"]

_DEFAULTS: Mapping[str, object] = {
    "name": "",
    "version": "1.0",
    "author": None,
    "process": None,
    "maturity": MATURITY,
    "contributors": [],
    "contexts": [],
    "repository": [],
    "external_services": [],
    "libraries": [],
    "bibtex": [],
    "default_labels": [],
    "categories": [],
    "parameters": None,
    "unique_key": None,
}
"""What Clowder 2 fills in where an extractor does not say it."""


def listener_id(name: str) -> str:
    """Make the id of an extractor: 24 hexadecimal digits, as Clowder's are, and always the same for a name."""
    return blake2b(name.encode(), digest_size=12).hexdigest()


def properties(info: Info) -> dict[str, object]:
    """Complete an info with the fields that Clowder 2 always gives."""
    return {**_DEFAULTS, **info}


def text(info: Info, name: str, default: str = "") -> str:
    """Read a field that is a text."""
    value = info.get(name)
    return value if isinstance(value, str) else default


def texts(info: Info, name: str) -> list[str]:
    """Read a field that is a list of texts; a single one is a list too."""
    value = info.get(name)
    if isinstance(value, str):
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def mapping(info: Info, name: str) -> dict[str, object]:
    """Read a field that is an object; an empty one where it is missing or none."""
    value = info.get(name)
    return value if isinstance(value, dict) else {}


def mappings(info: Info, name: str) -> list[dict[str, object]]:
    """Read a field that is a list of objects; a single one is a list too."""
    value = info.get(name)
    listed = value if isinstance(value, list) else [value]
    return [each for each in listed if isinstance(each, dict)]


def processes(info: Info, kind: str) -> bool:
    """Tell whether an extractor works on files, or on datasets, as Clowder 2 tells it: what says nothing takes both."""
    return kind not in ("file", "dataset") or info.get("process") == {} or kind in mapping(info, "process")
