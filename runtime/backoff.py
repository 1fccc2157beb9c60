"""How long to wait before a service that is away is tried again."""

import random


class Backoff:
    """Doubling pauses with jitter, so that a fleet of workers does not come back to the broker in one moment."""

    def __init__(self, first_s: float = 0.2, most_s: float = 15.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Return the next pause in seconds: between half of the current bound and the bound, which then doubles."""
        bound = self._next_s
        self._next_s = min(bound * 2, self._most_s)
        return bound * random.uniform(0.5, 1.0)  # noqa: S311  # jitter is no secret

    def reset(self) -> None:
        """Start over after a success."""
        self._next_s = self._first_s
