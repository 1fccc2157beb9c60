"""What operators do with dead letters. Commands, REST and pages call these acts; each puts itself on record."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import BinaryIO
from uuid import uuid4

from jobtrail.deadletters.archive import read_lines
from jobtrail.deadletters.dry_run import OnProgress
from jobtrail.deadletters.editing import with_body, with_fields
from jobtrail.deadletters.properties import Json
from jobtrail.models.dead_letters.dead_letter import DeadLetter, Edit, Fix, LetterFilter
from jobtrail.models.dead_letters.replay import Replay
from jobtrail.models.errors import SettingError, TooLateError
from jobtrail.models.redaction import redact
from jobtrail.models.times import rfc3339
from jobtrail.operations.audit import Actor, AuditBook, AuditEntry
from jobtrail.runtime.threads import run_abandonable
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.dead_letters.moves import MAX_MOVED
from jobtrail.store.dead_letters.replays import ReplayRepository

_MAX_WORDS_CHARS = 300
_MAX_IDS_NAMED = 5
_IMPORTED_TOGETHER = 500


@dataclass(slots=True, frozen=True, kw_only=True)
class MessageEdit:
    """What an edit changes in the message that a replay sends."""

    body: str | None = None
    """The whole body; None keeps it, except for `fields`."""
    fields: Mapping[str, Json | None] = field(default_factory=dict)
    """Values by field of a JSON body; None removes a field."""
    headers: Mapping[str, Json | None] = field(default_factory=dict)
    """Values by header; None removes a header."""

    def words(self) -> str:
        """Name what changes, without values, which may be secrets."""
        body = [] if self.body is None else ["body"]
        headers = [f"header {name}" for name in self.headers]
        return ", ".join([*body, *self.fields, *headers])[:_MAX_WORDS_CHARS]

    def applied(self, letter: DeadLetter, by: str) -> Edit:
        """Make the edit of a dead letter."""
        if self.body is not None and self.fields:
            raise SettingError("change the whole body or single fields, not both")
        if self.body is not None:
            return with_body(letter, self.body, self.headers, by)
        if not self.fields and not self.headers:
            raise SettingError("nothing to change: name a body, a field or a header")
        return with_fields(letter, self.fields, self.headers, by)


class DeadLetterActs:
    """The acts; docs/web.md lists the details that each puts on record, also when it is refused."""

    def __init__(self, database: Database, audit: AuditBook, on_change: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._audit = audit
        self._on_change = on_change
        self._letters = LetterRepository(database)
        self._causes = CauseRepository(database)
        self._replays = ReplayRepository(database)

    async def replay(
        self,
        actor: Actor,
        selection: LetterFilter,
        *,
        target: str | None = None,
        rate: float | None = None,
        staged: bool = True,
        include_repeated: bool = False,
    ) -> Replay:
        """Record a replay of the open dead letters of a selection; `deadletters.replayer` runs it, here or elsewhere.

        `target` None sends each to its origin; `rate` is in dead letters per second.

        Raises:
            NotFoundError: There is nothing to replay.
            BusyError: Another replay holds some of them.
        """
        details = {"staged": "yes" if staged else "no"}
        details |= {"to": target} if target else {}
        details |= {"rate": f"{rate:g}/s"} if rate else {}
        details |= {"repeated": "included"} if include_repeated else {}
        async with self._act_on(selection, actor, "letters.replay", details) as entry:
            if rate is not None and not 0.01 <= rate <= 1_000_000:
                raise SettingError("the rate must be from 0.01 to 1,000,000 dead letters per second")
            if target is not None and not 0 < len(target.encode()) <= 255:
                raise SettingError("a queue's name has 1 to 255 bytes")
            replay = await self._replays.start(
                Replay(
                    id=uuid4().hex[:12],
                    selection=_captured_by_now(selection.to_replay(include_repeated=include_repeated)),
                    target=target,
                    rate=rate,
                    staged=staged,
                    who=actor.name,
                    origin=actor.origin,
                    asked_at=datetime.now(UTC),
                    total=0,
                )
            )
            entry.target = replay.id
            entry.details["count"] = str(replay.total)
        return replay

    async def cancel(self, actor: Actor, replay_id: str, *, again_is_fine: bool = True) -> Replay:
        """Request that a replay stops before its next batch; return it as it was then.

        `again_is_fine` is about one that has ended because it was cancelled before.

        Raises:
            NotFoundError: It does not exist.
            TooLateError: It has ended.
        """
        async with self._act(actor, "replay.cancel", target=replay_id) as entry:
            replay = await self._replays.ask_to_cancel(replay_id)
            if replay.state.is_end and not (replay.cancel and again_is_fine):
                raise TooLateError(f"replay {replay_id} has ended already: {replay.state.value}")
            entry.details["sent"] = str(replay.sent)
        return replay

    async def discard(
        self, actor: Actor, selection: LetterFilter, reason: str, on_progress: OnProgress = lambda _count: None
    ) -> int:
        """Archive the open dead letters of a selection; return how many.

        Raises:
            BusyError: A replay holds some of them.
        """
        reason = reason.strip()
        async with self._act_on(selection, actor, "letters.discard", {"reason": reason[:_MAX_WORDS_CHARS]}) as entry:
            if not reason:
                raise SettingError("give a reason to discard dead letters")
            selection = _captured_by_now(selection)
            await self._replays.refuse_overlap(selection)
            count = await _moved(lambda: self._letters.discard(selection, reason), on_progress)
            entry.details["count"] = str(count)
        return count

    async def restore(
        self, actor: Actor, selection: LetterFilter, on_progress: OnProgress = lambda _count: None
    ) -> int:
        """Reopen the archived dead letters of a selection; return how many."""
        async with self._act_on(selection, actor, "letters.restore") as entry:
            count = await _moved(lambda: self._letters.restore(selection), on_progress)
            entry.details["count"] = str(count)
        return count

    async def edit(self, actor: Actor, letter_id: str, change: MessageEdit) -> DeadLetter:
        """Change what a replay sends, on top of earlier edits.

        Raises:
            NotFoundError: The dead letter does not exist.
            SettingError: The change does not fit the message.
            TooLateError: It is closed, held by a replay, or was sent.
        """
        async with self._act(actor, "letters.edit", target=letter_id, details={"changed": change.words()}):
            letter = await self._letters.get(letter_id)
            return await self._letters.edit(letter_id, change.applied(letter, actor.name))

    async def revert(self, actor: Actor, letter_id: str) -> DeadLetter:
        """Drop the edits: a replay sends the original bytes again. Raises what `edit` does."""
        async with self._act(actor, "letters.edit", target=letter_id, details={"changed": "reverted"}):
            return await self._letters.edit(letter_id, None)

    async def note(self, actor: Actor, cause_id: str, text: str) -> None:
        """Note how a group was fixed; a blank text removes the note.

        Raises:
            NotFoundError: The group does not exist.
        """
        text = text.strip()
        fix = Fix(note=text, who=actor.name, at=datetime.now(UTC)) if text else None
        details = {"note": redact(text)[:_MAX_WORDS_CHARS] or "removed"}
        async with self._act(actor, "letters.note", target=cause_id, details=details):
            await self._causes.note(cause_id, fix)

    async def export(self, actor: Actor, selection: LetterFilter) -> tuple[int, AsyncIterator[Sequence[DeadLetter]]]:
        """Count the dead letters of a selection and read them in chunks, secrets included.

        The record is written before the first one leaves: a reader who breaks off has seen some of them.
        """
        async with self._act_on(selection, actor, "letters.export") as entry:
            count = await self._letters.count(selection)
            entry.details["count"] = str(count)
        return count, self._letters.stream(selection)

    async def import_(
        self, actor: Actor, file: BinaryIO, on_progress: Callable[[int, int], None] = lambda _done, _total: None
    ) -> tuple[int, int]:
        """Import exported lines: all, or none if one is not an exported dead letter.

        `on_progress` gets how many of how many are done; the total is 0 while the lines are checked.

        Returns how many are new and how many were known. After a lost connection the file can be imported again.
        """
        async with self._act(actor, "letters.import") as entry:
            total = await run_abandonable(lambda: _checked(file, on_progress))
            file.seek(0)
            letters = read_lines(file)
            await self._database.ensure_indexes()  # which keep keys unique
            new = done = 0
            while some := await run_abandonable(lambda: list(islice(letters, _IMPORTED_TOGETHER))):
                new += await self._letters.insert(some)
                done += len(some)
                on_progress(done, total)
            entry.details |= {"count": str(new), "known": str(done - new)}
        return new, done - new

    def _act_on(
        self, selection: LetterFilter, actor: Actor, act: str, details: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[AuditEntry]:
        words = {"letters": selection_words(selection), **(details or {})}
        return self._act(actor, act, target=_target(selection), details=words)

    @asynccontextmanager
    async def _act(
        self, actor: Actor, act: str, *, target: str = "", details: Mapping[str, str] | None = None
    ) -> AsyncIterator[AuditEntry]:
        try:
            async with self._audit.act(actor, act, target=target, details=details) as entry:
                yield entry
        finally:
            self._on_change()


def selection_words(selection: LetterFilter) -> str:
    """Describe a selection, such as `group 5f3c, captured until 2026-11-22T00:14:36.000Z`."""
    words = []
    if selection.ids is not None:
        named = ", ".join(selection.ids[:_MAX_IDS_NAMED])
        words.append(f"{named}{' …' if len(selection.ids) > _MAX_IDS_NAMED else ''} ({len(selection.ids):,} chosen)")
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
    """Name the one thing that a selection is about, if it is one."""
    if selection.ids is not None:
        return selection.ids[0] if len(selection.ids) == 1 else ""
    return selection.cause_id or ""


def _captured_by_now(selection: LetterFilter) -> LetterFilter:
    """Leave out what is captured later: a replay must not send again what fails again."""
    now = datetime.now(UTC)
    return replace(selection, until=min(selection.until, now) if selection.until else now)


async def _moved(move: Callable[[], Awaitable[int]], on_progress: OnProgress) -> int:
    count = 0
    while moved := await move():
        count += moved
        on_progress(count)
        if moved < MAX_MOVED:
            break
    return count


def _checked(file: BinaryIO, on_progress: Callable[[int, int], None]) -> int:
    count = 0
    for count, _letter in enumerate(read_lines(file), 1):  # the last number is the count
        on_progress(count, 0)
    return count
