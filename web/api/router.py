"""REST, version 1: all endpoints but the streams."""

from fastapi import APIRouter

from jobtrail.web.api import acts, audit, datasets, extractors, incidents, jobs, notifications, outbox, resources
from jobtrail.web.api.dead_letters import accounting, dead_letters, groups, replays

router = APIRouter(prefix="/api/v1")
for _module in (
    jobs,
    acts,
    resources,
    extractors,
    datasets,
    notifications,
    outbox,
    audit,
    # Groups and replays go before what takes any word for a dead letter's id.
    groups,
    replays,
    dead_letters,
    accounting,
    incidents,
):
    router.include_router(_module.router)
