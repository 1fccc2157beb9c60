"""`GET /health`: whether the web can serve, for whatever watches it."""

from http import HTTPStatus

import structlog
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from jobtrail.models.errors import StoreError
from jobtrail.web.dependencies import AppParts

log = structlog.get_logger()

router = APIRouter(include_in_schema=False)


@router.get("/health")
async def health(parts: AppParts) -> JSONResponse:
    try:
        await parts.database.ping()
    except StoreError as error:
        log.warning("No database", action="web.no_database", error=str(error))
        return JSONResponse({"ok": False, "state": "no database"}, HTTPStatus.SERVICE_UNAVAILABLE)
    return JSONResponse({"ok": True})
