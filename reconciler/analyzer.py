"""The analyzer's HTTP API: its address, our credentials, and one exchange with it."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from time import perf_counter
from types import TracebackType
from typing import Self, cast

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from jobtrail.models.datasets.analyzer import MAX_BODY_BYTES, Reply
from jobtrail.models.errors import AnalyzerError, SettingError
from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.redaction import MASK, redact
from jobtrail.models.settings import Settings
from jobtrail.reconciler.inquiry import Inquiry

PATIENCE_S = 60.0
"""How long the API may refuse us for our rate before the rest of a run is left to the next one."""
_MAX_DETAIL_LENGTH = 300
_TOKEN = re.compile(r"[\x21-\x7e]+")
_MIN_SECRET_LENGTH = 8
_MAX_PORT = 65_535


class Analyzer:
    """A client of the analyzer's API; use it in an `async with` statement.

    `patience_s`: seconds that the API may refuse us for our rate before an inquiry ends.
    """

    def __init__(self, settings: Settings, *, patience_s: float = PATIENCE_S) -> None:
        self._settings = settings
        self._patience_s = patience_s
        self._base_url = _base_url(settings)
        self._token = _token(settings)
        self._headers = httpx.Headers({"Accept": "application/json", "User-Agent": "jobtrail"})
        self._headers["Accept-Encoding"] = "identity"  # answers are shorter than what compresses them
        if self._token:
            self._headers["Authorization"] = f"Bearer {self._token}"
        self._slots = asyncio.Semaphore(settings.analyzer_concurrency)
        # Without httpx's client before it, which doubles the work per request: docs/decisions/0010.
        self._transport = AiohttpTransport(limits=httpx.Limits(max_connections=settings.analyzer_concurrency))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.aclose()

    def inquiry(self) -> Inquiry:
        """Begin a round of questions: what ends it, such as refused credentials, does not end the next one."""
        return Inquiry(
            self._exchange,
            self._slots,
            longest_pause_s=self._settings.retry_max_wait_s,
            patience_s=self._patience_s,
        )

    async def _exchange(self, dataset_id: str) -> Reply:
        timeout_s = self._settings.analyzer_timeout_s
        request = httpx.Request("GET", f"{self._base_url}/datasets/{dataset_id}", headers=self._headers)
        began = perf_counter()
        try:
            async with (
                asyncio.timeout(timeout_s),
                aclosing(await self._transport.handle_async_request(request)) as response,
            ):
                body = await self._read(response)
        except TimeoutError as error:
            raise AnalyzerError(
                AlertKind.API_TIMEOUT, f"no answer from {self._base_url} within {timeout_s:g} s"
            ) from error
        except httpx.TransportError as error:
            raise AnalyzerError(AlertKind.API_SERVICE_ERROR, _words(error)) from error
        except (httpx.DecodingError, aiohttp.ClientError) as error:  # what is not HTTP comes as aiohttp's own error
            raise AnalyzerError(AlertKind.API_INVALID_ANSWER, _words(error)) from error
        return Reply(
            status_code=response.status_code,
            body=body,
            at=datetime.now(UTC),
            duration_s=perf_counter() - began,
            retry_after=response.headers.get("Retry-After"),
        )

    async def _read(self, response: httpx.Response) -> bytes:
        """Read the body as far as it is read at all; our token in it is masked."""
        body = bytearray()
        async with aclosing(cast(AsyncGenerator[bytes, None], response.aiter_bytes())) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    del body[MAX_BODY_BYTES + 1 :]
                    break
        if len(self._token) < _MIN_SECRET_LENGTH:
            return bytes(body)
        return bytes(body.replace(self._token.encode(), MASK.encode()))


def _base_url(settings: Settings) -> str:
    if settings.analyzer_url is None:
        raise SettingError("JOBTRAIL_ANALYZER_URL is not set; set it to the API's address, as https://host/path")
    try:
        url = httpx.URL(settings.analyzer_url)
        url.host.encode("idna")
    except (httpx.InvalidURL, UnicodeError) as error:
        # Its words may quote a password: that of http://user:password/path@host stands where the port is looked for.
        raise SettingError("JOBTRAIL_ANALYZER_URL is not a URL; set it as https://host:port/path") from error
    if url.userinfo:
        raise SettingError("JOBTRAIL_ANALYZER_URL must hold no user and password; JOBTRAIL_ANALYZER_TOKEN is for that")
    is_address = url.scheme in ("http", "https") and url.host and (url.port or 0) <= _MAX_PORT
    if not is_address or url.query or url.fragment:
        raise SettingError("JOBTRAIL_ANALYZER_URL must be as https://host:port/path, with nothing after the path")
    return str(url).rstrip("/")


def _token(settings: Settings) -> str:
    token = settings.analyzer_token.get_secret_value() if settings.analyzer_token else ""
    if token and _TOKEN.fullmatch(token) is None:
        raise SettingError("JOBTRAIL_ANALYZER_TOKEN contains a blank, a line break or another impossible character")
    return token


def _words(error: Exception) -> str:
    return redact(str(error))[:_MAX_DETAIL_LENGTH] or type(error).__name__
