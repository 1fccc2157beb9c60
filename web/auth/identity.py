"""Who sends a request."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import Request
from starlette.exceptions import HTTPException

from jobtrail.models.token import LOCAL, Role, Token
from jobtrail.operations.audit import Actor
from jobtrail.store.access.tokens import TokenRepository
from jobtrail.web.auth.session import OPEN, Sessions

UNKNOWN_ORIGIN = "unknown"


@dataclass(slots=True, frozen=True, kw_only=True)
class Identity(Actor):
    """Somebody who is authenticated."""

    role: Role
    origin: str = UNKNOWN_ORIGIN
    csrf_token: str = field(default="", repr=False)
    """What the forms of their pages carry; empty for a bearer token, whose programs need no forms."""

    def may_see_told(self, user_id: object) -> bool:
        """Whether they may see what was sent to a user; everybody may where no user is named."""
        return user_id is None or self.role is Role.OPERATOR or self.user_id == user_id


class Authenticator:
    """Finds out who sends a request. Where it `is_open`, whoever shows nothing is the local operator."""

    def __init__(self, tokens: TokenRepository, sessions: Sessions, *, is_open: bool) -> None:
        self._tokens = tokens
        self._sessions = sessions
        self._is_open = is_open

    async def recognise(self, request: Request) -> Identity | None:
        """Find out who sends a request.

        A token goes before a cookie, and both before open access: a program with a revoked token is refused (401), so
        that it notices. None for somebody unknown.
        """
        now = datetime.now(UTC)
        secret = bearer_token(request)
        if secret is not None:
            token = await self._tokens.recognise(secret, now)
            if token is None:
                raise unauthorized("The token is unknown, revoked or expired.", 'Bearer error="invalid_token"')
            return _holder(token, request)
        if request.scope["path"].startswith("/pusher/"):
            # What is signed there is for one user: neither for this machine's user nor for any page in a browser.
            return None
        session = await self._sessions.find(request, now)
        if session is not None:
            token = await self._tokens.use(session.token_id, now)
            if token is not None:
                return _holder(token, request, await self._sessions.csrf_token(session.id))
        if self._is_open:
            csrf_token = await self._sessions.csrf_token(OPEN)
            return Identity(
                name=LOCAL, role=Role.OPERATOR, user_id=None, origin=client_address(request), csrf_token=csrf_token
            )
        return None


def bearer_token(request: Request) -> str | None:
    """Return the token of a request, valid or not; None without one.

    `X-API-Key` is Clowder 2's header, and as safe: like `Authorization`, no browser adds it by itself.
    """
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key")


def client_address(request: Request) -> str:
    """Return the address that a request comes from, as the nearest trusted proxy reports it."""
    return request.client.host if request.client else UNKNOWN_ORIGIN


def require_operator(identity: Identity) -> Identity:
    """Return the identity of an operator; refuse anybody else with 403."""
    if identity.role is not Role.OPERATOR:
        raise HTTPException(HTTPStatus.FORBIDDEN, "This needs a token with the role operator.")
    return identity


def unauthorized(detail: str, challenge: str = "Bearer") -> HTTPException:
    """Make the refusal of somebody unknown, to be raised."""
    return HTTPException(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": challenge})


def _holder(token: Token, request: Request, csrf_token: str = "") -> Identity:
    return Identity(
        name=token.name,
        role=token.role,
        user_id=token.user_id,
        origin=client_address(request),
        csrf_token=csrf_token,
    )
