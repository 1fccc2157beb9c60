"""Everything that Clowder's own UI and scripts may ask."""

from fastapi import APIRouter, Depends

from jobtrail.web.clowder.extractions import extractions_router
from jobtrail.web.clowder.jobs import jobs_router
from jobtrail.web.clowder.listeners import listeners_router
from jobtrail.web.parts import Parts
from jobtrail.web.problem import problems


def clowder_router(parts: Parts) -> APIRouter:
    """Make the endpoints of both versions.

    Args:
        parts: The application's parts.

    Returns:
        The router.
    """
    router = APIRouter(dependencies=[Depends(parts.authenticator)], responses=problems(401, 503))
    for make in (jobs_router, listeners_router, extractions_router):
        router.include_router(make(parts))
    return router
