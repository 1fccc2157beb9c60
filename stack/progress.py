"""How long steps report what they are doing."""

from collections.abc import Callable

OnProgress = Callable[[str], None]
"""Takes one line for people, such as "starting RabbitMQ"; may be called from any thread."""


def no_progress(_line: str) -> None:
    """Report nothing."""
