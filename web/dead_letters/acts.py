"""What operators do with dead letters over the web, for pages and programs alike: done, and put on record."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from jobtrail.deadletters.archive import read_lines
from jobtrail.deadletters.editing import with_body, with_fields
from jobtrail.deadletters.properties import Json
from jobtrail.models.audit import Outcome
from jobtrail.models.dead_letters.dead_letter import DeadLetter, Edit, Fix, LetterFilter
from jobtrail.models.dead_letters.replay import Replay
from jobtrail.models.errors import BrokerError, JobTrailError, SettingError, StoreError, TooLateError
from jobtrail.models.redaction import redact
from jobtrail.models.times import rfc3339
from jobtrail.operations.audit import AuditBook
from jobtrail.operations.dead_letter_acts import discard_letters, restore_letters, start_replay
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.dead_letters.replays import ReplayRepository
from jobtrail.web.auth.identity import Identity
from jobtrail.web.dead_letters.count import LetterCount

_LONGEST_WORDS = 300
_IDS_NAMED = 5


@dataclass(slots=True, frozen=True, kw_only=True)
class LetterChange:
    """What is to become of what a replay of a letter sends."""

    body: str | None = None
    """The whole body; None leaves it, but for `fields`."""
    fields: Mapping[str, Json | None] = field(default_factory=dict)
    """Values by field of a JSON body; None takes one away."""
    headers: Mapping[str, Json | None] = field(default_factory=dict)
    """Values by header; None takes one away."""


@dataclass(slots=True)
class _Record:
    """What will be noted of an act."""

    target: str
    details: dict[str, str]


class LetterActs:
    """Does what operators want, and notes who did it; also what was refused.

    Args:
        database: The trail's database.
        audit: Where acts are noted.
        count: The figure in the bar, which an act changes.
    """

    def __init__(self, database: Database, audit: AuditBook, count: LetterCount) -> None:
        self._database = database
        self._audit = audit
        self._count = count
        self._letters = LetterRepository(database)
        self._causes = CauseRepository(database)
        self._replays = ReplayRepository(database)

    async def replay(
        self,
        identity: Identity,
        selection: LetterFilter,
        *,
        target: str | None,
        rate: float | None,
        staged: bool,
        include_repeated: bool,
    ) -> Replay:
        """Ask for a replay, which the service of dead letters runs; see `operations.dead_letter_acts.start_replay`."""
        details = {"letters": selection_words(selection), "staged": "yes" if staged else "no"}
        details |= {"to": target} if target else {}
        details |= {"rate": f"{rate:g}/s"} if rate else {}
        details |= {"repeated": "included"} if include_repeated else {}
        async with self._noted(identity, "letters.replay", details=details) as record:
            replay = await start_replay(
                self._database,
                selection,
                who=identity.name,
                origin=identity.origin,
                target=target,
                rate=rate,
                staged=staged,
                include_repeated=include_repeated,
            )
            record.target = replay.id
            record.details["count"] = str(replay.total)
        return replay

    async def cancel(self, identity: Identity, replay_id: str) -> Replay:
        """Ask a replay to stop before its next batch.

        Args:
            identity: Who wants that.
            replay_id: The replay.

        Returns:
            It, as it was then.

        Raises:
            NotFoundError: There is no such replay.
            TooLateError: It is at its end.
            StoreError: The database can't be reached.
        """
        async with self._noted(identity, "replay.cancel", target=replay_id):
            replay = await self._replays.ask_to_cancel(replay_id)
            if replay.state.is_end and not replay.cancel:
                raise TooLateError(f"replay {replay_id} has ended already: {replay.state.value}")
        return replay

    async def discard(self, identity: Identity, selection: LetterFilter, reason: str) -> int:
        """Put letters into the archive; see `operations.dead_letter_acts.discard_letters`."""
        details = {"letters": selection_words(selection), "reason": reason[:_LONGEST_WORDS]}
        async with self._noted(identity, "letters.discard", target=_target(selection), details=details) as record:
            count = await discard_letters(self._database, selection, reason)
            record.details["count"] = str(count)
        return count

    async def restore(self, identity: Identity, selection: LetterFilter) -> int:
        """Take letters out of the archive; see `operations.dead_letter_acts.restore_letters`."""
        details = {"letters": selection_words(selection)}
        async with self._noted(identity, "letters.restore", target=_target(selection), details=details) as record:
            count = await restore_letters(self._database, selection)
            record.details["count"] = str(count)
        return count

    async def edit(self, identity: Identity, letter_id: str, change: LetterChange) -> DeadLetter:
        """Change what a replay of a letter will send.

        Args:
            identity: Who wants that.
            letter_id: The letter.
            change: What differs.

        Returns:
            The letter.

        Raises:
            NotFoundError: There is no such letter.
            SettingError: It can't be changed so.
            TooLateError: It was sent already, or is about to be, or is closed.
            StoreError: The database can't be reached.
        """
        changed = [name for name, is_in in (("body", change.body is not None),) if is_in]
        changed += [*change.fields, *(f"header {name}" for name in change.headers)]
        details = {"changed": ", ".join(changed)[:_LONGEST_WORDS]}
        async with self._noted(identity, "letters.edit", target=letter_id, details=details):
            letter = await self._letters.get(letter_id)
            return await self._letters.edit(letter_id, _edit(letter, change, identity.name))

    async def revert(self, identity: Identity, letter_id: str) -> DeadLetter:
        """Let a replay of a letter send its own bytes again; raises what `edit` does."""
        async with self._noted(
            identity, "letters.edit", target=letter_id, details={"changed": "back to its own bytes"}
        ):
            return await self._letters.edit(letter_id, None)

    async def note(self, identity: Identity, cause_id: str, text: str | None) -> None:
        """Note how a group was mended.

        Args:
            identity: Who did it.
            cause_id: The group.
            text: How; None, or nothing but blanks, takes the note away.

        Raises:
            NotFoundError: There is no such group.
            StoreError: The database can't be reached.
        """
        words = (text or "").strip()
        fix = Fix(note=words, who=identity.name, at=datetime.now(UTC)) if words else None
        details = {"note": redact(words)[:_LONGEST_WORDS] if words else "taken away"}
        async with self._noted(identity, "letters.note", target=cause_id, details=details):
            await self._causes.note(cause_id, fix)

    async def take_in(self, identity: Identity, body: bytes) -> int:
        """Import letters that were exported.

        Args:
            identity: Who wants that.
            body: The lines.

        Returns:
            How many are new.

        Raises:
            SettingError: A line is no letter; nothing was imported.
            StoreError: The database can't be reached.
        """
        async with self._noted(identity, "letters.import") as record:
            letters = await asyncio.to_thread(_read, body)
            count = await self._letters.insert(letters)
            record.details |= {"count": str(count), "lines": str(len(letters))}
        return count

    async def note_export(self, identity: Identity, selection: LetterFilter) -> None:
        """Note that somebody takes letters out, secrets and all."""
        async with self._noted(identity, "letters.export", details={"letters": selection_words(selection)}):
            pass

    @asynccontextmanager
    async def _noted(
        self, identity: Identity, act: str, *, target: str = "", details: Mapping[str, str] | None = None
    ) -> AsyncIterator[_Record]:
        record = _Record(target, dict(details or {}))
        try:
            yield record
        except StoreError:
            raise
        except JobTrailError as error:
            outcome = Outcome.FAILED if isinstance(error, BrokerError) else Outcome.REFUSED
            told = record.details | {"why": str(error)[:_LONGEST_WORDS]}
            await self._audit.note(identity, act, target=record.target, outcome=outcome, details=told)
            raise
        finally:
            self._count.forget()
        await self._audit.note(identity, act, target=record.target, details=record.details)


def selection_words(selection: LetterFilter) -> str:
    """Say in words which letters are meant.

    Args:
        selection: The letters.

    Returns:
        Such as `group 5f3c, captured until 2026-11-22T00:14:36.000Z`.
    """
    words = []
    if selection.ids is not None:
        named = ", ".join(selection.ids[:_IDS_NAMED])
        words.append(f"{named}{' …' if len(selection.ids) > _IDS_NAMED else ''} ({len(selection.ids):,} chosen)")
    words += [
        f"{name} {value}"
        for name, value in (
            ("group", selection.cause_id),
            ("kind", selection.kind),
            ("queue", selection.queue),
            ("origin", selection.origin),
            ("reason", selection.reason),
            ("extractor", selection.extractor_id),
            ("job", selection.job_id),
            ("replay", selection.replay_id),
            ("state", None if selection.states is None else " or ".join(selection.states)),
            ("maybe repeated", None if selection.maybe_repeated is None else str(selection.maybe_repeated).lower()),
            ("captured since", rfc3339(selection.since)),
            ("captured until", rfc3339(selection.until)),
        )
        if value is not None
    ]
    return ", ".join(words) or "all"


def _target(selection: LetterFilter) -> str:
    """Name the one thing that a selection is about, where it is one."""
    if selection.ids is not None:
        return selection.ids[0] if len(selection.ids) == 1 else ""
    return selection.cause_id or ""


def _edit(letter: DeadLetter, change: LetterChange, by: str) -> Edit:
    if change.body is not None and change.fields:
        raise SettingError("change the whole body, or single fields of it, not both")
    if change.body is not None:
        return with_body(letter, change.body, change.headers, by)
    if not change.fields and not change.headers:
        raise SettingError("nothing is to be changed: name a body, a field or a header")
    return with_fields(letter, change.fields, change.headers, by)


def _read(body: bytes) -> list[DeadLetter]:
    return list(read_lines(body.split(b"\n")))
