"""The spool on its own: what it keeps, drops, adopts and survives. No broker is needed."""

import os
import sqlite3

import pytest

from jobtrail.models.errors import SpoolFullError
from jobtrail.models.jobs.status import Status
from jobtrail.publisher.outgoing import OutgoingUpdate
from jobtrail.publisher.output.scope import JobScope
from jobtrail.publisher.request import Request
from jobtrail.publisher.spool.folder import SPOOL_DIR_VARIABLE, SpoolFolder, default_spool_path
from jobtrail.publisher.spool.ledger import MAX_NUMBERED_JOBS, SpoolLedger
from jobtrail.publisher.spool.spool import Spool
from tests.publisher.support import spooled


def an_update(number: int, *, droppable: bool = True, queue: str = "replies") -> OutgoingUpdate:
    return OutgoingUpdate(
        message_id=f"id-{number}",
        routing_key=queue,
        correlation_id=None,
        timestamp=0,
        body=str(number).encode(),
        droppable=droppable,
    )


def numbers(spool: Spool, queue: str = "replies") -> list[int]:
    return [int(row.update.body) for row in spool.take(queue, 0, -1)]


def a_ledger(folder, **kwargs) -> SpoolLedger:
    return SpoolLedger("tests.extractor", reply_queue="replies", spool_path=folder, **kwargs)


def test_updates_come_out_in_order_and_stay_until_deleted(tmp_path):
    spool = Spool(tmp_path / "x.spool")
    ids = [spool.append(an_update(number)) for number in range(5)]
    assert [row.update for row in spool.take("replies", 0, 3)] == [an_update(number) for number in range(3)]
    assert [row.row_id for row in spool.take("replies", ids[1], 2)] == ids[2:4]
    spool.delete(ids[:4])
    assert (numbers(spool), len(spool), spool.close()) == ([4], 1, 1)
    assert numbers(Spool(tmp_path / "x.spool")) == [4]


def test_row_ids_are_never_used_twice(tmp_path):
    spool = Spool(tmp_path / "x.spool")
    first = spool.append(an_update(1))
    spool.delete([first])
    assert spool.append(an_update(2)) > first


def test_a_full_spool_drops_the_oldest_progress_only(tmp_path):
    spool = Spool(tmp_path / "x.spool", max_updates=4)
    spool.append(an_update(0, droppable=False))
    for number in range(1, 6):
        spool.append(an_update(number))
    spool.append(an_update(6, droppable=False))
    assert (numbers(spool), spool.dropped) == ([0, 4, 5, 6], 3)


def test_a_spool_full_of_what_must_not_be_dropped_says_so(tmp_path):
    spool = Spool(tmp_path / "x.spool", max_updates=2)
    for number in range(2):
        spool.append(an_update(number, droppable=False))
    with pytest.raises(SpoolFullError):
        spool.append(an_update(2))
    assert numbers(spool) == [0, 1]


def test_what_dead_processes_left_is_adopted_in_order_oldest_first(tmp_path):
    folder = SpoolFolder(tmp_path, 100)
    dead = [folder.open(adopt=False) for _ in range(3)]
    for number in range(9):
        dead[number % 3].spool.append(an_update(number))
    for owned in dead:
        owned.close()
    heir = folder.open()
    assert numbers(heir.spool) == [0, 3, 6, 1, 4, 7, 2, 5, 8]
    assert len([*tmp_path.glob("*.spool")]) == 1


def test_what_a_living_process_holds_is_not_adopted(tmp_path):
    folder = SpoolFolder(tmp_path, 100)
    living = folder.open()
    living.spool.append(an_update(1))
    other = folder.open()
    assert numbers(other.spool) == []
    assert folder.adopt_into(other.spool) == 0
    assert other.close() == 0
    assert living.close() == 1


def test_an_adoption_that_was_interrupted_doubles_nothing(tmp_path):
    folder = SpoolFolder(tmp_path, 100)
    dead, heir = folder.open(adopt=False), folder.open(adopt=False)
    for number in range(5):
        dead.spool.append(an_update(number))
    heir.spool.import_from(dead.spool)  # and killed before the old file was removed
    dead.close()
    assert folder.adopt_into(heir.spool) == 0
    assert numbers(heir.spool) == [0, 1, 2, 3, 4]


def test_a_damaged_file_is_put_aside_and_stops_nobody(tmp_path, caplog):
    folder = SpoolFolder(tmp_path, 100)
    dead = folder.open()
    dead.spool.append(an_update(1))
    dead.close()
    damaged = next(tmp_path.glob("*.spool"))
    damaged.write_bytes(b"this is no database" * 500)
    heir = folder.open()
    assert (heir.spool.path is not None, numbers(heir.spool)) == (True, [])
    assert [*tmp_path.glob("*.damaged")]
    assert "publisher.spool_damaged" in {record.action for record in caplog.records}


def test_a_folder_that_cannot_be_used_means_a_spool_in_memory(tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    ledger = a_ledger(tmp_path / "file" / "spool")
    job = JobScope(ledger, Request.create("file-1"))
    job.start()
    assert len(ledger.spool) == 1
    assert "publisher.spool_in_memory" in {record.action for record in caplog.records}


def test_a_disk_that_becomes_full_moves_everything_to_memory_and_back_at_the_end(tmp_path):
    ledger = a_ledger(tmp_path)
    job = JobScope(ledger, Request.create("file-1"))
    job.start()
    pages = ledger.spool._db.execute("PRAGMA page_count").fetchone()[0]
    ledger.spool._db.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(50):
        job.progress(str(number) * 200)
    assert ledger.spool.path is None
    assert [update["sequence"] for update in spooled(ledger)] == list(range(1, 52))
    first = ledger.spool.take("replies", 0, 10)
    ledger.spool.delete([row.row_id for row in first])
    assert [update["sequence"] for update in spooled(ledger)] == list(range(11, 52))
    ledger.close()  # the disk is still full: what was written to it before is still there
    assert spooled(a_ledger(tmp_path))[0]["sequence"] == 1


def test_a_disk_that_refuses_to_forget_does_not_hand_out_twice(tmp_path, caplog):
    spool = Spool(tmp_path / "x.spool")
    ids = [spool.append(an_update(number)) for number in range(3)]
    spool._db.execute("PRAGMA query_only = 1")
    spool.delete(ids[:2])
    assert (numbers(spool), len(spool)) == ([2], 1)
    assert "publisher.spool_delete_failed" in {record.action for record in caplog.records}
    spool._db.execute("PRAGMA query_only = 0")
    spool.delete(ids[2:])
    assert (numbers(spool), spool.close()) == ([], 0)


def test_what_is_said_after_closing_is_kept_for_the_next_process(tmp_path):
    ledger = a_ledger(tmp_path)
    job = JobScope(ledger, Request.create("file-1"))
    ledger.close()
    job.progress("late")
    assert ledger.close() == 1
    assert [update["message"] for update in spooled(a_ledger(tmp_path))] == ["late"]


def test_a_pair_of_producer_and_job_never_starts_at_one_twice(tmp_path):
    ledger = a_ledger(tmp_path)
    seen = set()
    for job_id in ["first", *map(str, range(MAX_NUMBERED_JOBS)), "first"]:
        numbering = ledger.begin(job_id)
        pair = (numbering.producer_id, job_id, numbering.next(job_id))
        assert pair not in seen
        seen.add(pair)
        ledger.end(job_id)
        assert len(numbering.latest) <= MAX_NUMBERED_JOBS
    assert len({producer for producer, _, _ in seen}) == 2


def test_an_update_on_disk_is_durable_before_the_call_returns(tmp_path):
    ledger = a_ledger(tmp_path)
    ledger.record(Request.create("file-1"), ledger.begin("job"), Status.STARTED, "go")
    path = ledger.spool.path
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM updates").fetchone() == (1,)
    other.close()


def test_the_spool_is_readable_by_its_user_only(tmp_path):
    a_ledger(tmp_path / "spool")
    assert os.stat(tmp_path / "spool").st_mode & 0o077 == 0  # noqa: PTH116


def test_the_default_folder_tells_extractors_and_brokers_apart(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_spool_path("a/b", "host:5672/") == tmp_path / "jobtrail" / "spool" / "a_b@host_5672_"
    monkeypatch.setenv(SPOOL_DIR_VARIABLE, "/elsewhere")
    assert str(default_spool_path("a", "host:5672/")) == "/elsewhere"
