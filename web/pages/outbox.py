"""What the buttons beside messages do: let them be tried again."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse

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
    # Without a key: all that were given up.
    count = await parts.outbox.retry([key] if key else None)
    await parts.audit.note(identity, "outbox.retry", target=key, details={"count": str(count)})
    return RedirectResponse(local_path(after), HTTPStatus.SEE_OTHER)
