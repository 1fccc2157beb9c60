"""Clowder 2's listeners: the extractors."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException

from jobtrail.models.heartbeat import ExtractorRecord, InstanceRecord
from jobtrail.store.clowder.reads import ClowderReads
from jobtrail.store.extractors import ExtractorRepository
from jobtrail.web.clowder.extractor_info import listener_id, processes, texts
from jobtrail.web.clowder.parameters import ClowderPageQuery, ListenerQuery, LivelihoodQuery, SearchQuery
from jobtrail.web.clowder.route import INVALID, ClowderRoute
from jobtrail.web.clowder.schemas import DetailSchema, ListenerPageSchema, ListenerSchema, PageMetadataSchema
from jobtrail.web.dependencies import AppParts
from jobtrail.web.paths import PathId

_NO_SUCH_LISTENER: dict[int | str, dict[str, object]] = INVALID | {
    404: {"model": DetailSchema, "description": "There is no such listener."}
}

router = APIRouter(prefix="/api/v2/listeners", tags=["Clowder 2"], route_class=ClowderRoute)


@router.get("", summary="List listeners, by name", responses=INVALID)
async def list_listeners(parts: AppParts, query: Annotated[ListenerQuery, Query()]) -> ListenerPageSchema:
    return _page(query, [each for each in await _listeners(parts.extractors, query) if _is_wanted(each, query)])


@router.get("/search", summary="Search listeners by a part of their name or description", responses=INVALID)
async def search(parts: AppParts, query: Annotated[SearchQuery, Query()]) -> ListenerPageSchema:
    return _page(query, [each for each in await _listeners(parts.extractors, query) if _is_found(each, query)])


@router.get("/categories", summary="List all categories that listeners name")
async def categories(parts: AppParts) -> list[str]:
    return _all_texts(await parts.extractors.list(), "categories")


@router.get("/defaultLabels", summary="List all default labels that listeners name")
async def default_labels(parts: AppParts) -> list[str]:
    return _all_texts(await parts.extractors.list(), "default_labels")


@router.get("/{listener_id}", summary="Read one listener, by its id or its name", responses=_NO_SUCH_LISTENER)
async def listener(parts: AppParts, listener_id: PathId) -> ListenerSchema:
    name = await _name(parts.clowder, listener_id)
    record, instances = await asyncio.gather(parts.extractors.get(name), parts.extractors.instances(name))
    return _shown(record, instances, LivelihoodQuery())


@router.get("/{listener_id}/status", summary="Tell whether a listener is alive", responses=_NO_SUCH_LISTENER)
async def status(parts: AppParts, listener_id: PathId, query: Annotated[LivelihoodQuery, Query()]) -> bool:
    return _is_alive(await parts.extractors.instances(await _name(parts.clowder, listener_id)), query)


async def _listeners(extractors: ExtractorRepository, query: LivelihoodQuery) -> Sequence[ListenerSchema]:
    records, instances = await asyncio.gather(extractors.list(), extractors.instances())
    by_extractor: dict[str, list[InstanceRecord]] = {record.name: [] for record in records}
    for instance in instances:
        by_extractor.setdefault(instance.extractor, []).append(instance)
    return [_shown(record, by_extractor[record.name], query) for record in records]


def _shown(record: ExtractorRecord, instances: Sequence[InstanceRecord], query: LivelihoodQuery) -> ListenerSchema:
    # The one that was seen last comes first.
    owner = instances[0].owner if instances else None
    return ListenerSchema.of(record, owner=owner, alive=_is_alive(instances, query))


def _is_alive(instances: Iterable[InstanceRecord], query: LivelihoodQuery) -> bool:
    """Judge as Clowder does, by the last heartbeat only; but who said goodbye is gone."""
    alive_since = datetime.now(UTC) - timedelta(seconds=query.interval_s)
    return any(instance.last_seen >= alive_since and not instance.stopping for instance in instances)


def _is_wanted(listener: ListenerSchema, query: ListenerQuery) -> bool:
    said = listener.properties
    return (
        (not query.category or query.category in texts(said, "categories"))
        and (not query.label or query.label in texts(said, "default_labels"))
        and (not query.alive_only or listener.alive)
        and (not query.process or processes(said, query.process))
    )


def _is_found(listener: ListenerSchema, query: SearchQuery) -> bool:
    part = query.text.casefold()
    named = part in listener.name.casefold() or part in listener.description.casefold()
    return named and (not query.process or processes(listener.properties, query.process))


def _page(query: ClowderPageQuery, found: Sequence[ListenerSchema]) -> ListenerPageSchema:
    metadata = PageMetadataSchema(total_count=len(found), skip=query.skip, limit=query.limit)
    return ListenerPageSchema(metadata=metadata, data=found[query.skip : query.skip + query.limit])


def _all_texts(records: Iterable[ExtractorRecord], field: str) -> list[str]:
    return sorted({each for record in records for each in texts(record.info, field)})


async def _name(reads: ClowderReads, id_or_name: str) -> str:
    """Find the extractor that is meant. A job names its extractor by name, and so do we understand that too."""
    names = await reads.extractor_names()
    found = next((name for name in names if id_or_name in (listener_id(name), name)), None)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"listener {id_or_name} not found")
    return found
