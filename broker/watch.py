"""Notices a broker that is gone without a word: frozen, cut off, or reachable in one direction only."""

from collections.abc import Callable

LOOK_S = 4.0
"""Seconds between two looks at whether the broker answers."""
MAX_SILENT_LOOKS = 3
"""Looks in a row that find a question unanswered before the broker counts as gone: within 16 s. pika alone takes up to
half a minute, and does not notice at all that what it sends does not arrive."""


class Watch:
    """Asks the broker something harmless again and again, until it is stopped or the broker counts as gone.

    A silent broker is excused while its answers are not read (`is_reading`), or while it reads nothing (`is_blocked`)
    and its heartbeats come, as `received_bytes` shows. `call_later` is the event loop's. When the broker counts as
    gone, `on_silent` gets the seconds that it did not answer.
    """

    def __init__(
        self,
        ask: Callable[[Callable[[object], None]], object],
        *,
        call_later: Callable[[float, Callable[[], None]], object],
        received_bytes: Callable[[], int],
        is_blocked: Callable[[], bool],
        is_reading: Callable[[], bool] = lambda: True,
        on_silent: Callable[[float], None],
    ) -> None:
        self._ask = ask
        self._call_later = call_later
        self._received_bytes = received_bytes
        self._is_blocked = is_blocked
        self._is_reading = is_reading
        self._on_silent = on_silent
        self._received = 0
        self._is_answered = False
        self._silent_looks = 0
        self._is_stopped = False
        self._call_later(LOOK_S, self._look)

    def note_answer(self, _frame: object = None) -> None:
        """Take note that the broker has answered; at first it owes the answer to what was asked before."""
        self._is_answered = True

    def stop(self) -> None:
        """Ask no more."""
        self._is_stopped = True

    def _look(self) -> None:
        if self._is_stopped:
            return
        received = self._received_bytes()
        is_heard = received != self._received
        self._received = received
        is_well = self._is_answered or not self._is_reading() or (self._is_blocked() and is_heard)
        self._silent_looks = 0 if is_well else self._silent_looks + 1
        if self._silent_looks == MAX_SILENT_LOOKS:
            self._on_silent(MAX_SILENT_LOOKS * LOOK_S)
            return
        if self._is_answered:
            self._is_answered = False
            self._ask(self.note_answer)
        self._call_later(LOOK_S, self._look)
