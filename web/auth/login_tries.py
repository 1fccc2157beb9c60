"""Rate limiting of logins."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil

MAX_TRIES = 10
WINDOW_S = 60.0
MAX_ADDRESSES = 10_000
"""Addresses that are remembered at the most; the least recent are forgotten first."""


class LoginTries:
    """Counts the failed logins of the last minute by address, in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    def begin(self, address: str) -> int:
        """Count a try before its outcome is known, so that no parallel one slips through; return seconds to wait."""
        now = self._clock()
        tries = self._tries.setdefault(_key(address), deque())
        self._tries.move_to_end(_key(address))
        if len(self._tries) > MAX_ADDRESSES:
            self._tries.popitem(last=False)
        while tries and now - tries[0] >= WINDOW_S:
            tries.popleft()
        if len(tries) >= MAX_TRIES:
            return max(1, ceil(tries[0] + WINDOW_S - now))
        tries.append(now)
        return 0

    def forgive(self, address: str) -> None:
        """Forget the latest try: it succeeded."""
        tries = self._tries.get(_key(address))
        if tries:
            tries.pop()


def _key(address: str) -> str:
    """Take all addresses of one IPv6 network as one: whoever has one has them all."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address
