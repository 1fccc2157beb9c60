"""Pages: Jinja2 templates, and the filters that format values in them."""

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from jobtrail.models.datasets.dataset import BatchJobStatus, DatasetStatus, Level
from jobtrail.models.dead_letters.dead_letter import LetterState
from jobtrail.models.dead_letters.dry_run import Verdict
from jobtrail.models.dead_letters.replay import ReplayState
from jobtrail.models.jobs.status import Status
from jobtrail.models.notifications.outbox import OutboxState
from jobtrail.models.times import clock, duration, relative, rfc3339
from jobtrail.web.auth.identity import Identity
from jobtrail.web.paths import address
from jobtrail.web.timeline.scale import brief_length
from jobtrail.web.timeline.words import printable

TEMPLATES = Path(__file__).parent / "templates"

_TONES = {
    Status.SUBMITTED: "wait",
    Status.STARTED: "run",
    Status.PROCESSING: "run",
    Status.SUCCEEDED: "good",
    Status.ERROR: "bad",
    Status.SKIPPED: "quiet",
    Status.RESUBMITTED: "warn",
    Status.CANCELLED: "quiet",
    DatasetStatus.PENDING: "wait",
    DatasetStatus.ANALYZING: "run",
    DatasetStatus.COMPLETE: "good",
    DatasetStatus.FAILED: "bad",
    BatchJobStatus.RUNNING: "run",
    OutboxState.WAITING: "wait",
    OutboxState.SENDING: "run",
    OutboxState.SENT: "good",
    OutboxState.FAILED: "bad",
    Level.SUCCESS: "good",
    Level.FAILURE: "bad",
    LetterState.OPEN: "warn",
    LetterState.HELD: "run",
    LetterState.REPLAYED: "run",
    LetterState.RESOLVED: "good",
    LetterState.FAILED_AGAIN: "bad",
    LetterState.UNKNOWN: "warn",
    ReplayState.WAITING: "wait",
    ReplayState.RUNNING: "run",
    ReplayState.HALTED: "bad",
    ReplayState.DONE: "good",
    Verdict.APPLIES: "good",
    Verdict.DUPLICATE: "wait",
    Verdict.FAILS: "bad",
}


def compile_templates() -> None:
    """Compile all templates now, so that no first page waits for it."""
    for name in _environment().list_templates():
        _environment().get_template(name)


class Renderer:
    """Makes pages. `unread` and `unsettled` return None for those whom the count does not concern."""

    def __init__(
        self,
        unread: Callable[[Identity], Awaitable[int | None]],
        csrf_token: Callable[[Identity], str],
        unsettled: Callable[[Identity], Awaitable[int | None]],
    ) -> None:
        self._unread = unread
        self._csrf_token = csrf_token
        self._unsettled = unsettled

    async def page(
        self,
        request: Request,
        identity: Identity | None,
        template: str,
        *,
        status: int = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
        **context: object,
    ) -> HTMLResponse:
        """Make a page; `identity` is None for somebody who has not logged in."""
        html = (
            _environment()
            .get_template(template)
            .render(
                path=request.url.path,
                identity=identity,
                unread=None if identity is None else await self._unread(identity),
                unsettled=None if identity is None else await self._unsettled(identity),
                csrf_token="" if identity is None else self._csrf_token(identity),
                now=datetime.now(UTC),
                **context,
            )
        )
        return HTMLResponse(html, status, headers)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ago": relative,
        "brief_length": brief_length,
        "clock": clock,
        "duration": duration,
        "rfc3339": rfc3339,
        "tone": tone,
        "number": "{:,}".format,
        "pretty_json": _pretty_json,
    }
    environment.globals |= {"address": address, "query": query}
    return environment


def _shown(value: object) -> object:
    """Neutralize control characters in text; what must stay exact, as in the fields of forms, is written with `| e`."""
    return printable(value) if type(value) is str else value


def tone(status: str) -> str:
    """Choose the colour of a status or a state: `wait`, `run`, `good`, `bad`, `warn` or `quiet`."""
    return _TONES.get(status, "quiet")  # type: ignore[call-overload, no-any-return]  # both are strings too


def query(**values: object) -> str:
    """Write a query string such as `?status=ERROR&q=gdal`, without empty values; a sequence gives several pairs."""
    text = urlencode({name: value for name, value in values.items() if value not in (None, "", (), [])}, doseq=True)
    return f"?{text}" if text else ""


def _pretty_json(value: object) -> Markup:
    return Markup.escape(printable(json.dumps(value, indent=2, ensure_ascii=False)))
