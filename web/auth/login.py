"""`/login` exchanges a token for a session, `/logout` ends it."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from jobtrail.models.audit import Outcome
from jobtrail.operations.audit import Actor
from jobtrail.web.auth.identity import Identity, client_address
from jobtrail.web.dependencies import AppParts, Caller
from jobtrail.web.parts import Parts
from jobtrail.web.paths import local_path

router = APIRouter(include_in_schema=False)


@router.get("/login")
async def ask(parts: AppParts, request: Request, after: Annotated[str, Query(alias="next")] = "/") -> Response:
    return await _page(parts, request, after)


@router.post("/login")
async def log_in(
    parts: AppParts,
    request: Request,
    token: Annotated[str, Form()] = "",
    after: Annotated[str, Form(alias="next")] = "/",
) -> Response:
    address = client_address(request)
    wait_s = parts.login_tries.begin(address)
    if wait_s:
        return await _page(parts, request, after, wait_s=wait_s)
    now = datetime.now(UTC)
    known = await parts.tokens.recognise(token.strip(), now)
    if known is None:
        nobody = Actor(name="nobody", role=None, user_id=None, origin=address)
        await parts.audit.note(nobody, "login", outcome=Outcome.REFUSED)
        return await _page(parts, request, after, is_refused=True)
    parts.login_tries.forgive(address)
    response = RedirectResponse(local_path(after), HTTPStatus.SEE_OTHER)
    await parts.sessions.begin(response, known.id, now)
    identity = Identity(name=known.name, role=known.role, user_id=known.user_id, origin=address)
    await parts.audit.note(identity, "login")
    return response


@router.post("/logout")
async def log_out(parts: AppParts, request: Request, identity: Caller) -> Response:
    response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    await parts.sessions.end(request, response, datetime.now(UTC))
    await parts.audit.note(identity, "logout")
    return response


async def _page(parts: Parts, request: Request, after: str, *, is_refused: bool = False, wait_s: int = 0) -> Response:
    status, headers = HTTPStatus.OK, None
    if is_refused:
        status, headers = HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"}
    if wait_s:
        status, headers = HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(wait_s)}
    return await parts.renderer.page(
        request,
        None,
        "login.html",
        status=status,
        headers=headers,
        after=local_path(after),
        is_refused=is_refused,
        wait_s=wait_s,
    )
