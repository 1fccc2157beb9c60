"""The analyzer simulator: an HTTP server like the analyzer's API, whose datasets advance from Pending to their end.

`python -m jobtrail.stack.demo.analyzer` serves at `JOBTRAIL_ANALYZER_URL`. With `JOBTRAIL_ANALYZER_TOKEN` as
the bearer token:

    GET    /datasets/ID            the dataset, as the real API describes it
    GET    /datasets               all of them
    POST   /datasets               a new one: {"id": "ds-1", "plan": {"pending_s": 2, "error_message": "no images"}}
    PUT    /control/troubles[/ID]  misbehave, for all or one: {"status_code": 429, "retry_after": "2"}
    DELETE /control/troubles[/ID]  back to normal
"""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import TypeAdapter, ValidationError

from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.models.errors import SettingError
from jobtrail.models.settings import load_settings

_SHUTDOWN_S = 1.0


@dataclass(slots=True, frozen=True, kw_only=True)
class Plan:
    """How a dataset advances through its statuses."""

    pending_s: float = 2.0
    """Seconds until it is Analyzing."""
    analyzing_s: float = 8.0
    """Seconds from then to its end."""
    error_message: str | None = None
    """Why it fails; None when it succeeds."""

    def at(self, age_s: float) -> Mapping[str, object]:
        """Return the fields of the API's answer, without the id, when a dataset is `age_s` seconds old."""
        worked_s = age_s - self.pending_s
        if worked_s < 0:
            return {"status": DatasetStatus.PENDING, "progress": 0}
        if worked_s < self.analyzing_s:
            return {"status": DatasetStatus.ANALYZING, "progress": math.floor(100 * worked_s / self.analyzing_s)}
        if self.error_message is not None:
            return {"status": DatasetStatus.FAILED, "error_message": self.error_message}
        return {"status": DatasetStatus.COMPLETE, "progress": 100}


@dataclass(slots=True, frozen=True, kw_only=True)
class Trouble:
    """How the simulator misbehaves."""

    status_code: int | None = None
    """Answers with this status code; None means the correct answer."""
    body: str = ""
    """The body of that answer."""
    retry_after: str | None = None
    """Its header `Retry-After`."""
    delay_s: float = 0.0
    """Waits so many seconds before anything else."""
    disconnects: bool = False
    """Closes the connection and answers nothing."""
    times: int | None = None
    """How many requests it affects; None is all."""


@dataclass(slots=True)
class Counts:
    """What the simulator saw of its clients."""

    requests: Counter[str]
    """By dataset."""
    connections: set[object]
    """The clients' addresses."""
    in_flight: int = 0
    most_in_flight: int = 0


@dataclass(slots=True, frozen=True, kw_only=True)
class NewDataset:
    """The body of `POST /datasets`."""

    id: str
    plan: Plan = Plan()


_NEW_DATASET = TypeAdapter(NewDataset)
_TROUBLE = TypeAdapter(Trouble)
_ANY = ""
"""In place of a dataset's id: all datasets."""


class AnalyzerSimulator:
    """The simulator. Within an `async with` block it serves on 127.0.0.1; port 0 picks a free one."""

    def __init__(self, token: str, *, port: int = 0, prefix: str = "") -> None:
        self._token = token
        self._port = port
        self._prefix = prefix
        self._datasets: dict[str, tuple[Plan, float]] = {}
        self._troubles: dict[str, Trouble] = {}
        self._met: Counter[str] = Counter()
        self.counts = Counts(requests=Counter(), connections=set())
        self._runner = web.AppRunner(
            self.application(), access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S
        )

    async def __aenter__(self) -> Self:
        """Start to listen."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The base address of its API."""
        return f"http://127.0.0.1:{self._port}{self._prefix}"

    def add(self, dataset_id: str, plan: Plan | None = None) -> None:
        """Create a dataset, or restart an existing one."""
        self._datasets[dataset_id] = (plan or Plan(), monotonic())

    def trouble(self, trouble: Trouble, dataset_id: str = _ANY) -> None:
        """Misbehave from now on: for one dataset, or for all without a trouble of their own."""
        self._troubles[dataset_id] = trouble
        self._met[dataset_id] = 0

    def behave(self, dataset_id: str = _ANY) -> None:
        """End a trouble."""
        self._troubles.pop(dataset_id, None)

    def application(self) -> web.Application:
        """Make its aiohttp application."""
        application = web.Application(middlewares=[self._guard])
        router = application.router
        router.add_get(f"{self._prefix}/datasets", self._list)
        router.add_post(f"{self._prefix}/datasets", self._create)
        router.add_get(f"{self._prefix}/datasets/{{id}}", self._tell, allow_head=False)
        for path in ("/control/troubles", "/control/troubles/{id}"):
            router.add_put(f"{self._prefix}{path}", self._set_trouble)
            router.add_delete(f"{self._prefix}{path}", self._end_trouble)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return web.json_response({"error": "Unauthenticated."}, status=401)
        try:
            return await handler(request)
        except ValidationError as error:
            return web.json_response({"error": str(error)}, status=422)

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response({"datasets": [self._dataset(dataset_id) for dataset_id in self._datasets]})

    async def _create(self, request: web.Request) -> web.Response:
        new = _NEW_DATASET.validate_json(await request.read())
        self.add(new.id, new.plan)
        return web.json_response(self._dataset(new.id), status=201)

    async def _set_trouble(self, request: web.Request) -> web.Response:
        self.trouble(_TROUBLE.validate_json(await request.read()), request.match_info.get("id", _ANY))
        return web.Response(status=204)

    async def _end_trouble(self, request: web.Request) -> web.Response:
        self.behave(request.match_info.get("id", _ANY))
        return web.Response(status=204)

    async def _tell(self, request: web.Request) -> web.Response:
        dataset_id = request.match_info["id"]
        async with self._counted(request, dataset_id):
            trouble = self._take_trouble(dataset_id)
            if trouble.delay_s:
                await asyncio.sleep(trouble.delay_s)
            if trouble.disconnects and request.transport is not None:
                request.transport.close()
            if trouble.status_code is not None:
                headers = {"Retry-After": trouble.retry_after} if trouble.retry_after is not None else None
                return web.Response(status=trouble.status_code, text=trouble.body, headers=headers)
            if dataset_id not in self._datasets:
                return web.json_response({"error": "No such dataset."}, status=404)
            return web.json_response(self._dataset(dataset_id))

    def _dataset(self, dataset_id: str) -> Mapping[str, object]:
        plan, made_at = self._datasets[dataset_id]
        return {"id": dataset_id, **plan.at(monotonic() - made_at)}

    def _take_trouble(self, dataset_id: str) -> Trouble:
        for whose in (dataset_id, _ANY):
            trouble = self._troubles.get(whose)
            if trouble is not None and (trouble.times is None or self._met[whose] < trouble.times):
                self._met[whose] += 1
                return trouble
        return Trouble()

    @asynccontextmanager
    async def _counted(self, request: web.Request, dataset_id: str) -> AsyncIterator[None]:
        counts = self.counts
        counts.requests[dataset_id] += 1
        if request.transport is not None:
            counts.connections.add(request.transport.get_extra_info("peername"))
        counts.in_flight += 1
        counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
        try:
            yield
        finally:
            counts.in_flight -= 1


def main() -> None:
    """Serve until SIGTERM."""
    settings = load_settings()
    if settings.analyzer_url is None or settings.analyzer_token is None:
        raise SettingError(
            "the simulator needs JOBTRAIL_ANALYZER_URL, as http://127.0.0.1:8008, and JOBTRAIL_ANALYZER_TOKEN"
        )
    address = urlsplit(settings.analyzer_url)
    simulator = AnalyzerSimulator(settings.analyzer_token.get_secret_value(), prefix=address.path.rstrip("/"))
    web.run_app(
        simulator.application(),
        host=address.hostname,
        port=address.port,
        print=None,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=_SHUTDOWN_S,
    )


if __name__ == "__main__":
    main()
