"""The figures of the live overview."""

from datetime import UTC, datetime

from jobtrail.cli.live.jobs import LiveReader
from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.store.jobs.overview import OverviewRepository
from tests.reconciler.bench import Bench


async def test_datasets_are_counted_by_status_and_other_words_are_left_out(console: Console, bench: Bench) -> None:
    for number, status in enumerate(("Pending", "Failed", "Failed", "on holiday")):
        bench.dataset(f"d-{number}", status=status)

    overview = await OverviewRepository(console).read()

    assert overview.datasets == {DatasetStatus.PENDING: 1, DatasetStatus.FAILED: 2}
    assert overview.jobs == {}


async def test_a_look_shows_the_latest_changes_first(database: Database, settings: Settings, bench: Bench) -> None:
    bench.dataset("d-1", status="Complete")
    history = bench.history("d-1")
    for second, (before, after) in enumerate((("Pending", "Analyzing"), ("Analyzing", "Complete"))):
        bench.logs.insert_one(
            {
                "wishlist_dataset_history_id": history["_id"],
                "wishlist_to_group_id": history["wishlist_to_group_id"],
                "event_type": "Status Update",
                "from": before,
                "to": after,
                "created_at": datetime.now(UTC).replace(second=second),
            }
        )
    reader = LiveReader(database, settings)

    snapshot = await reader.read(10)

    assert [(change.dataset_id, change.to_status, change.group) for change in snapshot.changes] == [
        ("d-1", "Complete", "Cats"),
        ("d-1", "Analyzing", "Cats"),
    ]
    assert snapshot.figures.datasets == {DatasetStatus.COMPLETE: 1}
