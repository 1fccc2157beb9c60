"""The host names that the web answers to, and its public origin: a protection against DNS rebinding and CSRF."""

import asyncio
import re
import socket
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address

from jobtrail.models.settings import Settings

_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?", re.IGNORECASE | re.ASCII)
_USUAL_PORTS = {"http": "80", "https": "443"}


@dataclass(slots=True, frozen=True)
class Origin:
    """An origin, as browsers define it."""

    scheme: str
    host: str
    """In lower case; an IPv6 address without its brackets."""
    port: str


def origin_from(text: str) -> Origin | None:
    """Read an origin such as `https://jobtrail.example.org`; `null` gives None."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return None
    scheme = match[1].lower()
    host = match[2].lower().strip("[]").removesuffix(".")
    return Origin(scheme, host, match[3] or _USUAL_PORTS[scheme])


def public_origin(settings: Settings) -> Origin | None:
    """Return the address by which browsers reach the web, where the settings name one."""
    return None if settings.web_url is None else origin_from(settings.web_url)


def is_https(settings: Settings) -> bool:
    """Tell whether browsers reach the web by https only."""
    public = public_origin(settings)
    return public is not None and public.scheme == "https"


def is_open(settings: Settings) -> bool:
    """Tell whether everybody may come in without a token: where only this machine can reach the web.

    A public address speaks against that: then a proxy on this machine reaches it for others.
    """
    public = public_origin(settings)
    return (
        settings.web_auth == "auto" and is_loopback(settings.web_host) and (public is None or is_loopback(public.host))
    )


def is_loopback(host: str) -> bool:
    """Tell whether a name or address is that of the loopback interface."""
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


async def is_ours(host: str, public: Origin | None) -> bool:
    """Tell whether a request may ask for this host.

    Any other name could be that of a site whose owner lets it point to our address (DNS rebinding); to a browser that
    site's pages and ours would be of one origin. An address can't be made to point elsewhere.
    """
    if (public is not None and host == public.host) or is_loopback(host) or _is_address(host):
        return True
    return host in await asyncio.to_thread(_own_names)


@cache
def _own_names() -> frozenset[str]:
    """Look up this machine's names once, when first needed: it may query a name server."""
    return frozenset({socket.gethostname().lower(), socket.getfqdn().lower()})


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
