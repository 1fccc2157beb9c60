"""Browser sessions: a signed cookie that stands for a token, and the CSRF tokens of forms."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from fastapi import Request, Response
from itsdangerous import BadData, Signer, URLSafeSerializer

from jobtrail.store.access.sessions import SessionRepository
from jobtrail.store.keys import KeyRepository

LIFETIME = timedelta(hours=12)
OPEN = "open"
"""The session id of clients that need no token."""

_KEY = "web sessions"
_SIGNING = {"key_derivation": "hmac", "digest_method": sha256}


@dataclass(slots=True, frozen=True, kw_only=True)
class Session:
    """What a session's cookie holds: not the token itself, whose revocation ends the session at once."""

    id: str
    token_id: str
    expires_at: datetime


class Sessions:
    """Begins, finds and ends sessions.

    The key is read when it is needed first, as the web starts without a database too.
    """

    def __init__(self, keys: KeyRepository, alive: SessionRepository, *, is_secure: bool) -> None:
        self._keys = keys
        self._alive = alive
        self._is_secure = is_secure
        # Browsers accept a cookie with this prefix from this very host only, not from its neighbours.
        self._cookie = "__Host-jobtrail" if is_secure else "jobtrail"
        self._key: bytes | None = None

    async def begin(self, response: Response, token_id: str, now: datetime) -> None:
        """Begin a session for a token, and set its cookie."""
        session = Session(id=secrets.token_urlsafe(24), token_id=token_id, expires_at=now + LIFETIME)
        sealed = await self._seal(session)
        await self._alive.add(session.id, expires_at=session.expires_at)
        # Lax, not strict: who follows a link from a message in Slack is to arrive logged in. Nothing is changed by GET,
        # and what changes something needs a CSRF token besides.
        response.set_cookie(
            self._cookie,
            sealed,
            max_age=int(LIFETIME.total_seconds()),
            secure=self._is_secure,
            httponly=True,
            samesite="lax",
        )

    async def find(self, request: Request, now: datetime) -> Session | None:
        """Find the session of a request; None without one, or where it is forged, expired or ended."""
        sealed = request.cookies.get(self._cookie)
        session = None if sealed is None else await self._unseal(sealed)
        if session is None or session.expires_at <= now or not await self._alive.has(session.id):
            return None
        return session

    async def end(self, request: Request, response: Response, now: datetime) -> None:
        """End the session of a request, if there is one, and delete the cookie."""
        session = await self.find(request, now)
        if session is not None:
            await self._alive.remove(session.id)
        response.delete_cookie(self._cookie, secure=self._is_secure, httponly=True, samesite="lax")

    async def csrf_token(self, session_id: str) -> str:
        """Make the token that the forms of a session (or of `OPEN`) carry; other sites can neither read nor make it."""
        signer = Signer(await self._get_key(), salt="jobtrail.csrf", **_SIGNING)  # type: ignore[arg-type]  # see _SIGNING
        return signer.get_signature(session_id).decode()

    async def _seal(self, session: Session) -> str:
        content = {"id": session.id, "token": session.token_id, "until": session.expires_at.timestamp()}
        return str((await self._serializer()).dumps(content))

    async def _unseal(self, sealed: str) -> Session | None:
        try:
            content = (await self._serializer()).loads(sealed)
        except BadData:
            return None
        until = datetime.fromtimestamp(content["until"], UTC)
        return Session(id=content["id"], token_id=content["token"], expires_at=until)

    async def _serializer(self) -> URLSafeSerializer:
        return URLSafeSerializer(await self._get_key(), salt="jobtrail.session", signer_kwargs=_SIGNING)

    async def _get_key(self) -> bytes:
        if self._key is None:
            self._key = await self._keys.get(_KEY)
        return self._key
