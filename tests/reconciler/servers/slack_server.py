"""A local Slack: `chat.postMessage` with the checks of the real one."""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.reconciler.servers.serving import serving

TOKEN = "xoxb-local-1234567890"
CHANNEL = "C0LOCAL"


@dataclass(slots=True)
class SlackServer:
    """What it has got, and what it is told to answer."""

    port: int = 0
    channels: set[str] = field(default_factory=lambda: {CHANNEL})
    messages: list[dict[str, Any]] = field(default_factory=list)
    """Accepted messages, in order."""
    at: list[float] = field(default_factory=list)
    """When each was accepted, on the monotonic clock."""
    errors: list[str] = field(default_factory=list)
    """Error codes that it answered."""
    answers: deque[web.Response] = field(default_factory=deque)
    """Answers to give before it does its work again."""
    interval_s: float = 0.0
    """Least seconds between two messages; faster ones get 429."""
    retry_after_s: int = 1
    holding: asyncio.Event | None = None
    """Where set, it takes messages but answers only after this event."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/"

    @property
    def keys(self) -> Counter[str]:
        """How often a message came, by its idempotency key."""
        return Counter(message["metadata"]["event_payload"]["id"] for message in self.messages)

    def texts(self) -> list[str]:
        """All that each message shows, as one text."""
        return [json.dumps(message["blocks"], ensure_ascii=False) for message in self.messages]

    async def post_message(self, request: web.Request) -> web.Response:
        if self.answers:
            return self.answers.popleft()
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._error("invalid_auth")
        if request.content_type == "application/json":
            message = await request.json()
        else:
            message = dict(await request.post())
            for name in ("blocks", "metadata"):
                message[name] = json.loads(message[name])
        if error := self._problem(message):
            return self._error(error)
        now = time.monotonic()
        if self.at and now - self.at[-1] < self.interval_s:
            self.errors.append("ratelimited")
            return web.json_response(
                {"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": str(self.retry_after_s)}
            )
        self.messages.append(message)
        self.at.append(now)
        if self.holding is not None:
            await self.holding.wait()
        return web.json_response({"ok": True, "channel": message["channel"], "ts": f"{now:.6f}", "message": {}})

    def _error(self, code: str) -> web.Response:
        self.errors.append(code)
        return web.json_response({"ok": False, "error": code})

    def _problem(self, message: dict[str, Any]) -> str | None:
        if message.get("channel") not in self.channels:
            return "channel_not_found"
        if not isinstance(message.get("text"), str) or not message["text"]:
            return "no_text"
        if len(message["text"]) > 40_000:
            return "msg_too_long"
        metadata = message.get("metadata")
        if not isinstance(metadata, dict) or set(metadata) != {"event_type", "event_payload"}:
            return "invalid_metadata_format"
        blocks = message.get("blocks")
        if not isinstance(blocks, list) or not 1 <= len(blocks) <= 50 or not all(map(_is_block, blocks)):
            return "invalid_blocks"
        return None


def _is_block(block: dict[str, Any]) -> bool:
    match block.get("type"):
        case "header":
            return block["text"]["type"] == "plain_text" and _is_text(block["text"], 150)
        case "section":
            fields = block.get("fields", [])
            has_text = "text" in block
            return (
                (has_text or bool(fields))
                and (not has_text or _is_text(block["text"], 3000))
                and len(fields) <= 10
                and all(_is_text(text, 2000) for text in fields)
            )
        case "context":
            elements = block["elements"]
            return 1 <= len(elements) <= 10 and all(_is_text(text, 3000) for text in elements)
    return False


def _is_text(text: dict[str, Any], most: int) -> bool:
    """Slack refuses an empty text as well as a long one, and shows an unescaped `<` as a link or a mention."""
    body = text["text"]
    return text["type"] in ("mrkdwn", "plain_text") and 1 <= len(body) <= most and "<" not in body


@asynccontextmanager
async def slack_server(port: int = 0) -> AsyncIterator[SlackServer]:
    """Run a local Slack."""
    server = SlackServer()
    app = web.Application()
    app.router.add_post("/api/chat.postMessage", server.post_message)
    async with serving(app, port) as server.port:
        yield server
