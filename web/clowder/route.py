"""How Clowder's endpoints tell what is wrong: `{"detail": …}`, as Clowder 2 does, being made with FastAPI."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from jobtrail.web.clowder.schemas import InvalidSchema, InvalidValueSchema

INVALID: dict[int | str, dict[str, object]] = {
    422: {"model": InvalidSchema, "description": "A parameter can't be used."}
}
"""What endpoints with parameters answer too, for OpenAPI."""


class ClowderRoute(APIRoute):
    """A route whose errors have Clowder's form, not that of the rest of the application."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Make what answers a request."""
        answer = super().get_route_handler()

        async def answer_or_tell(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestValidationError as error:
                return _invalid(error)
            except HTTPException as error:
                return await http_exception_handler(request, error)

        return answer_or_tell


def _invalid(error: RequestValidationError) -> Response:
    told = [InvalidValueSchema(loc=each["loc"], msg=each["msg"], type=each["type"]) for each in error.errors()]
    return JSONResponse(InvalidSchema(detail=told).json_object(), HTTPStatus.UNPROCESSABLE_ENTITY)
