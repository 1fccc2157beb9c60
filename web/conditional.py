"""`ETag` and 304 for the JSON of `/api/`: whoever polls gets a body only when something has changed."""

from hashlib import blake2b
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PREFIX = "/api/"
_TAG_BYTES = 16
_OF_A_BODY = ("Content-Length", "Content-Type")
"""Headers that an answer without a body does not have."""


class ConditionalAnswers:
    """Gives answers an `ETag`, and leaves out the body where the client has it already."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(_PREFIX):
            send = _ConditionalAnswer(send, Headers(scope=scope).getlist("If-None-Match")).send
        await self._app(scope, receive, send)


class _ConditionalAnswer:
    """Holds an answer back until its tag is known, unless it is a stream or not JSON."""

    def __init__(self, send: Send, known: list[str]) -> None:
        self._send = send
        self._known = known
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_tagged(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        # Weak, as what is sent may be compressed afterwards.
        tag = f'W/"{blake2b(self._body, digest_size=_TAG_BYTES).hexdigest()}"'
        headers = MutableHeaders(scope=start)
        headers["ETag"] = tag
        headers["Cache-Control"] = "private, no-cache"
        if _is_known(tag, self._known):
            start["status"] = int(HTTPStatus.NOT_MODIFIED)
            self._body.clear()
            for name in _OF_A_BODY:
                del headers[name]
        await self._send(start)
        await self._send({"type": "http.response.body", "body": bytes(self._body)})


def _is_tagged(start: Message) -> bool:
    media_type = Headers(raw=start["headers"]).get("Content-Type", "").partition(";")[0]
    return start["status"] == HTTPStatus.OK and media_type == "application/json"


def _is_known(tag: str, known: list[str]) -> bool:
    tags = {each.strip().removeprefix("W/") for each in ",".join(known).split(",")}
    return "*" in tags or tag.removeprefix("W/") in tags
