"""Makes wishlist groups, histories and crawler schedules, for a start without the console."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.models.datasets.seed import Seed, SeedGroup, SeedSchedule
from jobtrail.models.errors import SettingError
from jobtrail.store.database import Document
from jobtrail.store.datasets.console import Console

_AT_ONCE = 10_000
"""Keys that are looked up together: a query must not outgrow 16 MiB."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Planted:
    """How many records of one kind were made, and how many were there."""

    made: int
    known: int
    """Those that were there already; they were left as they are."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Harvest:
    """What came of a seed."""

    groups: Planted
    datasets: Planted
    crawler_schedules: Planted


class DatasetSeeder:
    """Makes what is not there yet."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def plant(self, seed: Seed) -> Harvest:
        """Make all that a seed names and that is not there yet: everything, or nothing.

        Returns what was made.
        """
        # Unique indexes keep two seeds at once from making one dataset twice.
        await self._console.ensure_indexes()
        return await self._console.database.transact(lambda session: self._plant(seed, session))

    async def _plant(self, seed: Seed, session: AsyncClientSession) -> Harvest:
        now = datetime.now(UTC)
        groups = _Groups(self._console.groups, session)
        named = [
            *(group.name for group in seed.groups),
            *(dataset.group for dataset in seed.datasets),
            *(schedule.group for schedule in seed.crawler_schedules),
        ]
        await groups.look_up(named)
        made_groups = [_group_document(group) for group in seed.groups if not groups.has(group.name)]
        await groups.add(made_groups)
        histories: list[Document] = []
        for number, dataset in enumerate(seed.datasets):
            key = groups.key_of(dataset.group, f"datasets[{number}]")
            histories.append(_history_document(dataset.dataset_id, key, now))
        schedules: list[Document] = []
        for number, schedule in enumerate(seed.crawler_schedules):
            key = groups.key_of(schedule.group, f"crawler_schedules[{number}]")
            schedules.append(_schedule_document(schedule, key, now))
        return Harvest(
            groups=Planted(made=len(made_groups), known=len(seed.groups) - len(made_groups)),
            datasets=await _insert_missing(self._console.histories, {}, "dataset_id", histories, session),
            crawler_schedules=await _insert_missing(
                self._console.crawler_schedules, {"type": "once"}, "wishlist_to_group_id", schedules, session
            ),
        )


class _Groups:
    """The keys of the groups that a seed names."""

    def __init__(self, collection: AsyncCollection[Document], session: AsyncClientSession) -> None:
        self._collection = collection
        self._session = session
        self._keys: dict[str, list[object]] = {}

    async def look_up(self, names: Iterable[str]) -> None:
        for some in _parts(list(dict.fromkeys(names))):
            found = self._collection.find({"name": {"$in": some}}, {"name": 1}, session=self._session)
            async for document in found:
                self._keys.setdefault(str(document["name"]), []).append(document["_id"])

    def has(self, name: str) -> bool:
        return name in self._keys

    async def add(self, documents: Sequence[Document]) -> None:
        if documents:
            await self._collection.insert_many(documents, session=self._session)
        self._keys.update({str(document["name"]): [document["_id"]] for document in documents})

    def key_of(self, name: str, record: str) -> object:
        keys = self._keys.get(name, [])
        if not keys:
            raise SettingError(f"{record}.group: there is no group {name!r}, neither in the file nor in the database")
        if len(keys) > 1:
            raise SettingError(f"{record}.group: {len(keys)} groups in the database have the name {name!r}")
        return keys[0]


async def _insert_missing(
    collection: AsyncCollection[Document],
    among: Document,
    identity: str,
    documents: Sequence[Document],
    session: AsyncClientSession,
) -> Planted:
    """Insert the documents of which none among the stored ones has the same identity."""
    known: set[object] = set()
    for some in _parts([document[identity] for document in documents]):
        found = collection.find({**among, identity: {"$in": some}}, {identity: 1}, session=session)
        known |= {document[identity] async for document in found}
    missing = [document for document in documents if document[identity] not in known]
    if missing:
        await collection.insert_many(missing, session=session)
    return Planted(made=len(missing), known=len(documents) - len(missing))


def _parts(keys: Sequence[object]) -> Iterable[list[object]]:
    return (list(keys[at : at + _AT_ONCE]) for at in range(0, len(keys), _AT_ONCE))


def _group_document(group: SeedGroup) -> Document:
    # The key comes from the name, so that two seeds at once can't make two groups of one name.
    return {"_id": f"jobtrail:{group.name}", **group.model_dump(mode="json")}


def _history_document(dataset_id: str, group_key: object, now: datetime) -> Document:
    return {
        "dataset_id": dataset_id,
        "wishlist_to_group_id": group_key,
        "status": DatasetStatus.PENDING.value,
        "error_message": None,
        "created_at": now,
        "updated_at": now,
    }


def _schedule_document(schedule: SeedSchedule, group_key: object, now: datetime) -> Document:
    return {
        "_id": f"jobtrail:{schedule.group}:{schedule.type}",
        "wishlist_to_group_id": group_key,
        "type": schedule.type,
        "status": "scheduled",
        "created_at": now,
    }
