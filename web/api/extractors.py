"""Extractors: which are online, in which version, with which instances."""

from fastapi import APIRouter, Depends, Response

from jobtrail.operations.extractors import find_extractor, list_extractors
from jobtrail.operations.schemas.extractors import ExtractorListSchema, ExtractorSchema
from jobtrail.web.api.answers import answer, documented
from jobtrail.web.api.examples import jobs as examples
from jobtrail.web.dependencies import AppParts, get_identity
from jobtrail.web.paths import PathId

router = APIRouter(tags=["extractors"], dependencies=[Depends(get_identity)])


@router.get("/extractors", summary="List extractors", **documented(examples.EXTRACTOR_LIST))
async def extractors(parts: AppParts) -> Response:
    """By name, with their versions and instances. `online` is derived now; each instance tells from what."""
    found = await list_extractors(parts.extractors, parts.settings)
    return answer(ExtractorListSchema(extractors=[ExtractorSchema.model_validate(extractor) for extractor in found]))


@router.get("/extractors/{name}", summary="Show an extractor", **documented(examples.EXTRACTOR, 400, 404))
async def extractor(parts: AppParts, name: PathId) -> Response:
    """One extractor, as in the list."""
    return answer(ExtractorSchema.model_validate(await find_extractor(parts.extractors, parts.settings, name)))
