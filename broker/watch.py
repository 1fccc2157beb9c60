"""Notices a broker that is gone without a word: frozen, cut off, or reachable in one direction only."""

import asyncio
from collections.abc import Callable

from pika.channel import Channel

from jobtrail.broker.frames import FrameReader

LOOK_S = 4.0
MAX_SILENT_LOOKS = 3
"""Looks in a row that find a question unanswered before the broker counts as gone: within 16 s. pika alone takes up to
half a minute, and does not notice at all that what it sends does not arrive."""


class Watch:
    """Asks the broker something harmless again and again, on a channel for that alone.

    A silent broker is excused while its answers are not read (`is_reading`), or while it reads nothing (`is_blocked`)
    and its heartbeats come. When it counts as gone, `on_silent` gets the seconds that it did not answer.
    """

    def __init__(
        self,
        connection: FrameReader,
        channel: Channel,
        *,
        is_reading: Callable[[], bool],
        is_blocked: Callable[[], bool],
        on_silent: Callable[[float], None],
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._is_reading = is_reading
        self._is_blocked = is_blocked
        self._on_silent = on_silent
        self._heard = 0
        self._answered = True
        self._silent_looks = 0
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def stop(self) -> None:
        """Ask no more."""
        self._timer.cancel()

    def _look(self) -> None:
        if not self._channel.is_open:
            return
        heard, self._heard = self._connection.received_bytes != self._heard, self._connection.received_bytes
        is_well = self._answered or not self._is_reading() or (self._is_blocked() and heard)
        self._silent_looks = 0 if is_well else self._silent_looks + 1
        if self._silent_looks == MAX_SILENT_LOOKS:
            self._on_silent(MAX_SILENT_LOOKS * LOOK_S)
            return
        if self._answered:
            self._answered = False
            # Changes nothing, as nothing is consumed on this channel.
            self._channel.basic_qos(prefetch_count=0, callback=self._on_answer)
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _on_answer(self, _frame: object) -> None:
        self._answered = True
