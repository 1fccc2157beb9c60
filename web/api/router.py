"""REST, version 1: all endpoints but the streams."""

from fastapi import APIRouter

from web.api.acts import acts_router
from web.api.audit import audit_router
from web.api.conservation import conservation_router
from web.api.datasets import datasets_router
from web.api.dead_letter_groups import dead_letter_groups_router
from web.api.dead_letters import dead_letters_router
from web.api.extractors import extractors_router
from web.api.incidents import incidents_router
from web.api.jobs import jobs_router
from web.api.notifications import notifications_router
from web.api.outbox import outbox_router
from web.api.replays import replays_router
from web.api.resources import resources_router
from web.parts import Parts

_ROUTERS = (
    jobs_router,
    acts_router,
    resources_router,
    extractors_router,
    datasets_router,
    notifications_router,
    outbox_router,
    audit_router,
    dead_letter_groups_router,
    replays_router,
    dead_letters_router,
    conservation_router,
    incidents_router,
)


def api_router(parts: Parts) -> APIRouter:
    """Make all endpoints.

    Args:
        parts: The application's parts.

    Returns:
        The router.
    """
    router = APIRouter(prefix="/api/v1")
    for make in _ROUTERS:
        router.include_router(make(parts))
    return router
