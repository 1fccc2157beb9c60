"""A local Pusher: the HTTP API with the checks of the real one, and its websocket protocol."""

import asyncio
import hashlib
import hmac
import json
import re
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.reconciler.servers.serving import serving

APP_ID, KEY, SECRET = "4711", "local-key", "local-secret-98765"

_CHANNEL = re.compile(r"[A-Za-z0-9_\-=@,.;]{1,164}")


@dataclass(slots=True)
class PusherServer:
    """What it has got, and what it is told to answer."""

    port: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    """Accepted events, in order; `data` is parsed."""
    batches: list[int] = field(default_factory=list)
    """How many events each accepted request had."""
    refused: list[str] = field(default_factory=list)
    """Why it refused requests."""
    answers: deque[web.Response] = field(default_factory=deque)
    """Answers to give before it does its work again."""
    down: bool = False
    """Answers 503 to all."""
    bad_channels: set[str] = field(default_factory=set)
    """Channels of which it takes no events."""
    sockets: dict[str, web.WebSocketResponse] = field(default_factory=dict)
    subscriptions: set[tuple[str, str]] = field(default_factory=set)
    """Socket ids and channels."""

    @property
    def url(self) -> str:
        return f"http://{KEY}:{SECRET}@127.0.0.1:{self.port}/apps/{APP_ID}"

    async def batch_events(self, request: web.Request) -> web.Response:
        if self.down:
            return web.Response(status=503, text="down")
        if self.answers:
            return self.answers.popleft()
        body = await request.read()
        if error := self._signature_problem(request, body):
            return self._refuse(401, error)
        batch = json.loads(body)["batch"]
        if not 1 <= len(batch) <= 10:
            return self._refuse(400, "a batch has 1 to 10 events")
        for event in batch:
            if _CHANNEL.fullmatch(event["channel"]) is None or event["channel"] in self.bad_channels:
                return self._refuse(400, f"Invalid channel {event['channel']}")
            if not event["name"] or len(event["name"]) > 200:
                return self._refuse(400, "Invalid event name")
            if len(event["data"].encode()) > 10 * 1024:
                return self._refuse(413, "The data content of this event exceeds the allowed maximum (10240 bytes)")
        self.batches.append(len(batch))
        for event in batch:
            self.events.append({**event, "data": json.loads(event["data"])})
            await self._deliver(event)
        return web.json_response({"batch": [{} for _ in batch]})

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if request.match_info["key"] != KEY:
            await _say(socket, "pusher:error", {"code": 4001, "message": "Application does not exist"})
            return socket
        socket_id = f"{len(self.sockets) + 1}.{id(socket) % 100_000}"
        self.sockets[socket_id] = socket
        established = {"socket_id": socket_id, "activity_timeout": 120}
        await _say(socket, "pusher:connection_established", json.dumps(established))
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._hear(socket_id, socket, json.loads(message.data))
        del self.sockets[socket_id]
        return socket

    async def _hear(self, socket_id: str, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        match message["event"]:
            case "pusher:ping":
                await _say(socket, "pusher:pong", {})
            case "pusher:subscribe":
                channel = message["data"]["channel"]
                wanted = f"{KEY}:{_sign(f'{socket_id}:{channel}')}"
                if channel.startswith("private-") and not hmac.compare_digest(message["data"].get("auth", ""), wanted):
                    self.refused.append(f"subscription to {channel}")
                    await _say(socket, "pusher:error", {"code": 4009, "message": "Invalid signature"})
                    return
                self.subscriptions.add((socket_id, channel))
                await _say(socket, "pusher_internal:subscription_succeeded", "{}", channel)

    async def _deliver(self, event: dict[str, Any]) -> None:
        for socket_id, channel in self.subscriptions:
            if channel == event["channel"] and socket_id in self.sockets:
                await _say(self.sockets[socket_id], event["name"], event["data"], channel)

    def _signature_problem(self, request: web.Request, body: bytes) -> str | None:
        query = dict(request.query)
        signature = query.pop("auth_signature", "")
        if query.get("auth_key") != KEY:
            return "Unknown auth_key"
        if query.get("auth_version") != "1.0":
            return "Unknown auth_version"
        if abs(time.time() - float(query.get("auth_timestamp", 0))) > 600:
            return "Timestamp expired"
        if query.get("body_md5") != hashlib.md5(body).hexdigest():
            return "Invalid body_md5"
        parameters = "&".join(f"{name}={value}" for name, value in sorted(query.items()))
        if not hmac.compare_digest(signature, _sign(f"{request.method}\n{request.path}\n{parameters}")):
            return "Invalid signature"
        return None

    def _refuse(self, status: int, why: str) -> web.Response:
        self.refused.append(why)
        return web.Response(status=status, text=why)


async def _say(socket: web.WebSocketResponse, event: str, data: object, channel: str | None = None) -> None:
    await socket.send_json({"event": event, "data": data, **({"channel": channel} if channel else {})})


def _sign(text: str) -> str:
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


@asynccontextmanager
async def pusher_server() -> AsyncIterator[PusherServer]:
    """Run a local Pusher."""
    server = PusherServer()
    app = web.Application()
    app.router.add_post(f"/apps/{APP_ID}/batch_events", server.batch_events)
    app.router.add_get("/app/{key}", server.websocket)
    async with serving(app) as server.port:
        try:
            yield server
        finally:
            await asyncio.gather(*(socket.close() for socket in server.sockets.values()))
