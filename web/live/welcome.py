"""Whether a client may still have its stream: it lasts much longer than a request, and a token may be revoked."""

import structlog
from fastapi import Request
from starlette.exceptions import HTTPException

from jobtrail.models.errors import StoreError
from jobtrail.web.auth.identity import Authenticator

log = structlog.get_logger()


async def is_welcome(authenticator: Authenticator, request: Request) -> bool:
    """Ask again whether somebody may have what they asked for.

    Args:
        authenticator: Tells who asks.
        request: What they asked with.

    Returns:
        Whether they are still known; so they are while the database is away, as then nobody can tell.
    """
    try:
        return await authenticator.recognise(request) is not None
    except HTTPException:
        return False
    except StoreError as error:
        log.warning("No database", action="web.no_database", error=str(error))
        return True
