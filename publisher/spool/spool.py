"""The bounded on-disk spool: one SQLite file of updates that the broker has not confirmed yet.

Every update is committed here before the worker's call returns, and deleted only after the broker's confirm; so SIGKILL
at any moment leaves it in the spool, confirmed, or both, and then it is sent again with the same message id.

`synchronous=NORMAL` in WAL mode: a commit survives the death of the process without an fsync (about 10 µs instead of
190 µs). Only a power cut or a crash of the operating system can take the last moments' updates; the file stays
consistent even then.
"""

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jobtrail.models.errors import SpoolFullError
from jobtrail.publisher.forking import guard, never_free
from jobtrail.publisher.outgoing import OutgoingUpdate, Spooled

logger = logging.getLogger(__name__)

DEFAULT_MAX_UPDATES = 100_000
"""About 60 MB on disk."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS updates (
    id INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    correlation_id TEXT,
    timestamp INTEGER NOT NULL,
    body BLOB NOT NULL,
    droppable INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS updates_by_routing_key ON updates (routing_key);
"""
_COLUMNS = "id, message_id, routing_key, correlation_id, timestamp, body, droppable"
_INSERT = f"INSERT INTO updates ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  # constants only

_CHUNK = 1000

_Row = tuple[int, str, str, str | None, int, bytes, int]


class Spool:
    """Updates in the order in which they were made. Safe to use from several threads; one process at a time.

    Args:
        path: The SQLite file; None keeps the spool in memory, for a worker that has no disk to write to.
        max_updates: How many updates it holds at most.

    Raises:
        sqlite3.Error: The file can't be opened, or is not a spool.
    """

    def __init__(self, path: Path | None, max_updates: int = DEFAULT_MAX_UPDATES) -> None:
        self.path = path
        self._max_updates = max_updates
        self._count: int
        # Autocommit: one statement is one transaction. Threads take turns by the guard, so they share the connection.
        with guard:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
            self._open()
        self._no_droppable_before = 0
        # Confirmed, but the disk refused to forget them: never to be handed out again by this process.
        self._undeleted: set[int] = set()
        self.dropped = 0

    def _open(self) -> None:
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA)
            highest: int
            self._count, highest = self._db.execute("SELECT count(*), coalesce(max(id), 0) FROM updates").fetchone()
            if self._count and (found := self._db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(found)  # as SQLite itself does when it stumbles over the damage
        except sqlite3.Error:
            self._db.close()
            raise
        self._next_id = highest + 1

    def __len__(self) -> int:
        return self._count - len(self._undeleted)

    def append(self, update: OutgoingUpdate) -> int:
        """Keep one update. When the spool is full, the oldest progress updates make room, counted in `dropped`.

        Args:
            update: The update.

        Returns:
            Its row id; later updates have higher ones.

        Raises:
            SpoolFullError: The spool is full of updates that must not be dropped.
            sqlite3.Error: The disk refused it.
        """
        with guard:
            if self._count >= self._max_updates:
                self._make_room()
            row_id = self._next_id
            self._db.execute(_INSERT, _row(row_id, update))
            self._next_id += 1
            self._count += 1
            return row_id

    def _make_room(self) -> None:
        excess = self._count - self._max_updates + 1
        rows = self._db.execute(
            "SELECT id FROM updates WHERE id >= ? AND droppable ORDER BY id LIMIT ?",
            (self._no_droppable_before, excess),
        ).fetchall()
        if rows:
            self._forget([row_id for (row_id,) in rows])
            self._no_droppable_before = rows[-1][0] + 1
            self.dropped += len(rows)
        if len(rows) < excess:
            raise SpoolFullError(f"the spool holds {self._count} updates, none of them progress that could be dropped")

    def take(self, routing_key: str, after: int, limit: int) -> list[Spooled]:
        """Read updates for one reply queue, oldest first; they stay in the spool.

        Args:
            routing_key: The reply queue.
            after: Only updates with a higher row id.
            limit: How many at most.

        Returns:
            The updates.

        Raises:
            sqlite3.Error: The disk could not be read.
        """
        with guard:
            rows: list[_Row] = self._db.execute(
                f"SELECT {_COLUMNS} FROM updates WHERE routing_key = ? AND id > ? ORDER BY id LIMIT ?",  # noqa: S608
                (routing_key, after, limit),
            ).fetchall()
            return [_spooled(row) for row in rows if row[0] not in self._undeleted]

    def delete(self, row_ids: Sequence[int]) -> None:
        """Forget updates that the broker has confirmed. Where the disk refuses, they are remembered as done.

        Args:
            row_ids: Their row ids.
        """
        with guard:
            try:
                self._forget([*row_ids, *self._undeleted])
                self._undeleted.clear()
            except sqlite3.Error as error:
                if not self._undeleted:
                    logger.warning(
                        "The spool cannot delete confirmed updates: %s",
                        error,
                        extra={"action": "publisher.spool_delete_failed"},
                    )
                self._undeleted.update(row_ids)

    def _forget(self, row_ids: Iterable[int]) -> None:
        with self._transaction():
            removed = self._db.executemany("DELETE FROM updates WHERE id = ?", [(row_id,) for row_id in row_ids])
        self._count -= removed.rowcount

    def routing_keys(self) -> list[str]:
        """List the reply queues that updates wait for.

        Returns:
            The names, each once.

        Raises:
            sqlite3.Error: The disk could not be read.
        """
        with guard:
            return [key for (key,) in self._db.execute("SELECT DISTINCT routing_key FROM updates")]

    def count_for(self, routing_keys: Iterable[str]) -> int:
        """Count the updates that wait for some reply queues.

        Args:
            routing_keys: The queues.

        Returns:
            How many.

        Raises:
            sqlite3.Error: The disk could not be read.
        """
        statement = "SELECT count(*) FROM updates WHERE routing_key = ?"
        with guard:
            return sum(int(self._db.execute(statement, (key,)).fetchone()[0]) for key in set(routing_keys))

    def import_from(self, other: "Spool") -> int:
        """Take over the updates of another spool, behind our own, but for those that we hold already (by message id).

        Args:
            other: The spool of a process that is gone; it is left as it is.

        Returns:
            How many updates were taken over.

        Raises:
            sqlite3.Error: A disk refused; asking again takes the rest over.
        """
        with guard:
            known = {message_id for (message_id,) in self._db.execute("SELECT message_id FROM updates")}
        taken, after = 0, 0
        # In chunks, so that the worker's own reports never wait long for the lock.
        while rows := other._read(after, _CHUNK):
            after = rows[-1][0]
            new = [row for row in rows if row[1] not in known and row[0] not in other._undeleted]
            with guard:
                with self._transaction():
                    self._db.executemany(_INSERT, [(self._next_id + n, *row[1:]) for n, row in enumerate(new)])
                self._next_id += len(new)
                self._count += len(new)
            taken += len(new)
        return taken

    def _read(self, after: int, limit: int) -> list[_Row]:
        with guard:
            return self._db.execute(
                f"SELECT {_COLUMNS} FROM updates WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608
                (after, limit),
            ).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def copy_from(self, other: "Spool") -> None:
        """Take over everything of another spool, row ids included, into this empty one.

        Args:
            other: The spool that this one replaces.

        Raises:
            sqlite3.Error: A disk refused.
        """
        with guard:
            self._next_id, self.dropped = other._next_id, other.dropped
            self._db.executemany(_INSERT, [row for row in other._read(0, -1) if row[0] not in other._undeleted])
            self._count = len(other)

    def clear(self) -> None:
        """Forget everything.

        Raises:
            sqlite3.Error: The disk refused.
        """
        with guard:
            self._db.execute("DELETE FROM updates")
            self._count = 0
            self._undeleted.clear()

    def close(self) -> int:
        """Close the file.

        Returns:
            How many updates are left in it.
        """
        with guard:
            left = len(self)
            self._db.close()
            return left

    def abandon(self) -> None:
        """Leave the connection alone for ever: SQLite forbids even closing it in a child process after a fork."""
        never_free(self._db)


def _row(row_id: int, update: OutgoingUpdate) -> _Row:
    return (
        row_id,
        update.message_id,
        update.routing_key,
        update.correlation_id,
        update.timestamp,
        update.body,
        int(update.droppable),
    )


def _spooled(row: _Row) -> Spooled:
    row_id, message_id, routing_key, correlation_id, timestamp, body, droppable = row
    return Spooled(
        row_id,
        OutgoingUpdate(
            message_id=message_id,
            routing_key=routing_key,
            correlation_id=correlation_id,
            timestamp=timestamp,
            body=body,
            droppable=bool(droppable),
        ),
    )
