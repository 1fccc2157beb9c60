"""What the buttons beside messages do: without a key, try again all that were given up."""

from contextlib import suppress
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse

from jobtrail.models.errors import NotFoundError
from jobtrail.operations.notification_acts import retry_messages
from jobtrail.web.dependencies import AppParts, Operator
from jobtrail.web.paths import local_path

router = APIRouter(include_in_schema=False)


@router.post("/outbox/retry")
async def retry(
    parts: AppParts,
    identity: Operator,
    key: Annotated[str, Form()] = "",
    after: Annotated[str, Form(alias="next")] = "/datasets?view=messages",
) -> RedirectResponse:
    with suppress(NotFoundError):  # it was sent meanwhile, as the list will show
        await retry_messages(parts.outbox, parts.audit, identity, [key] if key else None)
    return RedirectResponse(local_path(after), HTTPStatus.SEE_OTHER)
