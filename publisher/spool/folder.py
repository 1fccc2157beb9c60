"""The folder of spools: each process has a file of its own, and adopts what a dead one left behind.

A file belongs to whoever holds the flock on the lock file beside it; the kernel releases it when the process dies. So
replicas of one worker share a folder safely, and the updates of a crashed one are sent by another, or by the next that
starts.
"""

import fcntl
import logging
import os
import re
import sqlite3
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from jobtrail.publisher.spool.spool import Spool

logger = logging.getLogger(__name__)

SPOOL_DIR_VARIABLE = "JOBTRAIL_SPOOL_DIR"


def default_spool_path(extractor_id: str, broker: str) -> Path:
    """Find the folder for a worker that names none.

    Args:
        extractor_id: The worker's extractor.
        broker: The broker's address without secrets: updates left for one broker must not go to another.

    Returns:
        `$JOBTRAIL_SPOOL_DIR` as it is, else `$XDG_STATE_HOME/jobtrail/spool/<extractor>@<broker>`, where the state home
        is `~/.local/state` unless set.
    """
    if chosen := os.environ.get(SPOOL_DIR_VARIABLE):
        return Path(chosen)
    state_home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    name = re.sub(r"[^\w.@-]", "_", f"{extractor_id}@{broker}")[:200]
    return Path(state_home).expanduser() / "jobtrail" / "spool" / name


@dataclass(slots=True)
class OwnedSpool:
    """A spool and the lock by which this process owns it."""

    spool: Spool
    lock_fd: int | None
    """None for a spool in memory, which no other process can see."""

    def close(self) -> int:
        """Close the spool, remove its files if nothing is left in it, and give the lock back.

        Returns:
            How many updates are left, for the next process.
        """
        left = self.spool.close()
        if self.spool.path is not None and left == 0:
            _remove(self.spool.path)
        if self.lock_fd is not None:
            os.close(self.lock_fd)
        return left

    def abandon(self) -> None:
        """In a forked child: leave everything to the parent."""
        self.spool.abandon()
        if self.lock_fd is not None:
            os.close(self.lock_fd)  # a mere copy: the flock lasts until the parent's copy is closed too


class SpoolFolder:
    """A folder with one spool file per live process, plus the left-over ones of dead processes.

    Args:
        path: The folder; made when missing, readable by this user only.
        max_updates: Bound of each spool.
    """

    def __init__(self, path: Path, max_updates: int) -> None:
        self._path = path
        self._max_updates = max_updates

    def open(self, *, adopt: bool = True) -> OwnedSpool:
        """Take a spool: the oldest left-over one, with the others' updates behind its own, else a new one.

        Args:
            adopt: Whether left-over spools are looked for.

        Returns:
            The spool, on disk; in memory where the folder can't be used, which is logged.
        """
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            owned = (self._next_orphan() if adopt else None) or self._create()
            if adopt:
                self.adopt_into(owned.spool)
            return owned
        except (OSError, sqlite3.Error) as error:
            logger.warning(
                "The spool folder cannot be used, unsent updates are kept in memory only: %s",
                error,
                extra={"action": "publisher.spool_in_memory"},
            )
            return self.in_memory()

    def in_memory(self) -> OwnedSpool:
        """Make a spool that needs no disk; what it holds dies with the process.

        Returns:
            The spool, empty.
        """
        return OwnedSpool(Spool(None, self._max_updates), None)

    def adopt_into(self, spool: Spool) -> int:
        """Take over what dead processes left behind.

        Args:
            spool: Our spool; their updates go behind its own.

        Returns:
            How many updates were taken over.

        Raises:
            OSError: The folder can't be read.
            sqlite3.Error: Our own spool refused them; they stay where they were.
        """
        adopted = 0
        while orphan := self._next_orphan():
            try:
                adopted += spool.import_from(orphan.spool)
                orphan.spool.clear()
            finally:
                orphan.close()
        if adopted:
            logger.info(
                "Adopted %d updates of a process that is gone", adopted, extra={"action": "publisher.spool_adopted"}
            )
        return adopted

    def _next_orphan(self) -> OwnedSpool | None:
        for lock_path in sorted(self._path.glob("*.lock")):
            lock_fd = _lock(lock_path)
            if lock_fd is None:
                continue
            path = lock_path.with_suffix(".spool")
            try:
                return OwnedSpool(Spool(path, self._max_updates), lock_fd)
            except sqlite3.OperationalError:  # the disk's fault, not the file's
                os.close(lock_fd)
                raise
            except sqlite3.DatabaseError as error:
                logger.error(
                    "A left-over spool is damaged and was put aside as %s.damaged: %s",
                    path.name,
                    error,
                    extra={"action": "publisher.spool_damaged"},
                )
                path.rename(path.with_suffix(".spool.damaged"))
                _remove(path)
                os.close(lock_fd)
        return None

    def _create(self) -> OwnedSpool:
        while True:
            path = self._path / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.spool"
            lock_fd = _lock(path.with_suffix(".lock"))
            # Without the lock, another process took it for a left-over one in the blink before we could lock it.
            if lock_fd is not None:
                return OwnedSpool(Spool(path, self._max_updates), lock_fd)


def _lock(path: Path) -> int | None:
    """Lock a file without waiting; None where another process holds it, or removed it meanwhile."""
    lock_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock_fd).st_ino == path.stat().st_ino:
            return lock_fd
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(lock_fd)
        raise
    os.close(lock_fd)
    return None


def _remove(path: Path) -> None:
    for suffix in (".spool", ".spool-wal", ".spool-shm", ".lock"):
        path.with_suffix(suffix).unlink(missing_ok=True)
