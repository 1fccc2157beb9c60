"""Sets letters aside that no broker takes as they are, so that they stop none of the others.

Most are known before they are sent (`broker.poison`). Where a broker closes the connection all the same, the letters in
hand are sent one by one, until it is known which one it is.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog

from jobtrail.deadletters.outgoing import OutgoingLetter
from jobtrail.models.dead_letters.dead_letter import LetterState, Sending
from jobtrail.models.errors import PoisonError
from jobtrail.store.dead_letters.replayed import Settlement
from jobtrail.store.dead_letters.replays import ReplayRepository

log = structlog.get_logger()

_MAX_COUNTED = 1000
_MAX_DETAIL_LENGTH = 500
_TRIES_ALONE = 2
"""Connections that a letter may cost which is sent alone: one may be lost for another reason."""


class Isolation:
    """Isolates the letters of replays."""

    def __init__(self, replays: ReplayRepository) -> None:
        self._replays = replays
        self._lost_over: Counter[str] = Counter()
        self.one_by_one = False
        """Whether one of the letters in hand has cost the connection."""

    async def suspect(self, replay_id: str, messages: Sequence[OutgoingLetter], error: PoisonError) -> None:
        """Note what was sent when the broker closed the connection; a letter that was alone, twice, is set aside."""
        self.one_by_one = True
        if len(messages) > 1:
            return
        letter_id = messages[0].letter_id
        self._lost_over[letter_id] += 1
        if self._lost_over[letter_id] == _TRIES_ALONE:
            await self.set_aside(replay_id, {letter_id: str(error)})

    async def set_aside(self, replay_id: str, reasons: Mapping[str, str]) -> None:
        """Settle letters that can't be sent: they may be edited and replayed, or discarded."""
        now = datetime.now(UTC)
        sendings = {letter_id: Sending(replay_id=replay_id, at=now, target="") for letter_id in reasons}
        await self._replays.note_sent(replay_id, sendings)
        await self._replays.settle(
            [
                Settlement(
                    letter_id=letter_id,
                    replay_id=replay_id,
                    outcome=LetterState.UNKNOWN,
                    detail=f"not sent: {reason}"[:_MAX_DETAIL_LENGTH],
                )
                for letter_id, reason in reasons.items()
            ]
        )
        for letter_id in reasons:
            log.warning("Letter can't be sent", action="replay.unsendable", replay_id=replay_id, letter_id=letter_id)

    async def words(self, replay_id: str) -> str:
        """Say how many letters of a replay were set aside; empty where none was."""
        letters = await self._replays.awaited(limit=_MAX_COUNTED, replay_id=replay_id, state=LetterState.UNKNOWN)
        count = sum(not letter.sendings[-1].target for letter in letters)
        return f"{count:,} letters could not be sent as they are" if count else ""
