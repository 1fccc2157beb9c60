"""Whether a client may keep its stream: it lasts much longer than a request, and a token may be revoked."""

import structlog
from fastapi import Request
from starlette.exceptions import HTTPException

from jobtrail.models.errors import StoreError
from jobtrail.web.auth.identity import Authenticator

log = structlog.get_logger()


async def is_still_authorized(authenticator: Authenticator, request: Request) -> bool:
    """Check again who sent the request; while the database is away, they stay authorized."""
    try:
        return await authenticator.recognise(request) is not None
    except HTTPException:
        return False
    except StoreError as error:
        log.warning("No database", action="web.no_database", error=str(error))
        return True
