"""REST, version 1: all endpoints but the streams."""

from fastapi import APIRouter

from jobtrail.web.api.acts import acts_router
from jobtrail.web.api.audit import audit_router
from jobtrail.web.api.datasets import datasets_router
from jobtrail.web.api.dead_letters.accounting import conservation_router
from jobtrail.web.api.dead_letters.dead_letters import dead_letters_router
from jobtrail.web.api.dead_letters.groups import dead_letter_groups_router
from jobtrail.web.api.dead_letters.replays import replays_router
from jobtrail.web.api.extractors import extractors_router
from jobtrail.web.api.incidents import incidents_router
from jobtrail.web.api.jobs import jobs_router
from jobtrail.web.api.notifications import notifications_router
from jobtrail.web.api.outbox import outbox_router
from jobtrail.web.api.resources import resources_router
from jobtrail.web.parts import Parts

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
