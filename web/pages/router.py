"""All pages, and what their forms do."""

from fastapi import APIRouter

from jobtrail.web.pages import audit, dataset, datasets, extractors, incidents, notifications, outbox, overview
from jobtrail.web.pages.dead_letters import accounting, letter, replays
from jobtrail.web.pages.dead_letters import acts as letter_acts
from jobtrail.web.pages.dead_letters import groups as letter_groups
from jobtrail.web.pages.dead_letters import list as letter_list
from jobtrail.web.pages.jobs import acts as job_acts
from jobtrail.web.pages.jobs import list as job_list
from jobtrail.web.pages.jobs import one as job
from jobtrail.web.pages.jobs import resource

router = APIRouter(include_in_schema=False)
for _module in (
    audit,
    overview,
    incidents,
    extractors,
    job_list,
    job,
    job_acts,
    resource,
    datasets,
    dataset,
    notifications,
    outbox,
    letter_groups,
    letter_list,
    letter_acts,
    replays,
    accounting,
    # Its addresses take any word, so those with a name of their own go before it.
    letter,
):
    router.include_router(_module.router)
