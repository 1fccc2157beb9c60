"""Everything that Clowder's own UI and scripts may ask."""

from fastapi import APIRouter, Depends

from jobtrail.web.clowder import extractions, jobs, listeners
from jobtrail.web.dependencies import get_identity
from jobtrail.web.problem import problems

router = APIRouter(dependencies=[Depends(get_identity)], responses=problems(401, 503))
for _module in (jobs, listeners, extractions):
    router.include_router(_module.router)
