"""Streams of updates as they are stored: of everything, of one job, of one resource."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request

from jobtrail.web.api.examples import jobs as examples
from jobtrail.web.dependencies import AppParts, get_identity
from jobtrail.web.live.authorization import is_still_authorized
from jobtrail.web.live.listener import KEEPALIVE_S
from jobtrail.web.live.sse import HELLO, RETRY_MS, EventStream, event, event_id_alone
from jobtrail.web.live.subscription import Subscription
from jobtrail.web.live.topics import ALL, JOB, RESOURCE, Topic, topic_of
from jobtrail.web.live.update import UpdateSchema
from jobtrail.web.paths import PathId
from jobtrail.web.problem import problems

_ABOUT = f"""

The answer is a stream of [Server-Sent Events](https://html.spec.whatwg.org/multipage/server-sent-events.html) that does
not end by itself.

- `update`: an update was stored; `data` is a JSON object.
- `reset`: the updates since the id that you sent are not known any more. Read the state anew; the stream goes on from
  now.
- An `id` without an event tells how far you are. Each {KEEPALIVE_S:g} seconds without news comes one, or a comment.

When the connection ends, ask again after {RETRY_MS} ms with the last `id` as `Last-Event-ID`, as a browser's
`EventSource` does: nothing is left out, nothing comes twice. It ends when you read too slowly, when the service stops,
and soon after your token was revoked."""
_UPDATE = UpdateSchema(
    job_id=examples.JOB.job_id,
    extractor_id=examples.JOB.extractor_id,
    resource_id=examples.JOB.resource_id,
    user_id=examples.JOB.user_id,
    event=examples.EVENT_PAGE.events[0],
)
_TOKENS = ("826B029CC60000001A2B0229296E04", "826B029CC7000000012B022C0100296E5A10048940E952D6954745AFE969169EDA")
_EXAMPLE = HELLO + event_id_alone(_TOKENS[0]) + event("update", _UPDATE.model_dump_json(), _TOKENS[1])
_STREAM: dict[int | str, dict[str, object]] = {
    200: {
        "description": "The stream.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE.decode()}},
    }
}
_RESPONSES = _STREAM | problems(400, 401, 403, 503)

LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", description="The last `id` that was received.")]
LastEventIdInQuery = Annotated[
    str | None, Query(alias="last_event_id", description="The same, for clients that can't set headers.")
]

router = APIRouter(
    prefix="/api/v1",
    tags=["streams"],
    default_response_class=EventStream,
    dependencies=[Depends(get_identity)],
)


@router.get("/stream", summary="Follow all updates", description=_ABOUT, status_code=200, responses=_RESPONSES)
async def all_updates(
    parts: AppParts, request: Request, last_event_id: LastEventId = None, earlier_id: LastEventIdInQuery = None
) -> EventStream:
    return _stream(parts, request, ALL, last_event_id, earlier_id)


@router.get(
    "/jobs/{job_id}/stream",
    summary="Follow a job's updates",
    description=_ABOUT,
    status_code=200,
    responses=_RESPONSES,
)
async def updates_of_job(
    parts: AppParts,
    request: Request,
    job_id: PathId,
    last_event_id: LastEventId = None,
    earlier_id: LastEventIdInQuery = None,
) -> EventStream:
    return _stream(parts, request, topic_of(JOB, job_id), last_event_id, earlier_id)


@router.get(
    "/resources/{resource_id}/stream",
    summary="Follow the updates about a resource",
    description=_ABOUT,
    status_code=200,
    responses=_RESPONSES,
)
async def updates_of_resource(
    parts: AppParts,
    request: Request,
    resource_id: PathId,
    last_event_id: LastEventId = None,
    earlier_id: LastEventIdInQuery = None,
) -> EventStream:
    return _stream(parts, request, topic_of(RESOURCE, resource_id), last_event_id, earlier_id)


def _stream(parts: AppParts, request: Request, topic: Topic, header: str | None, query: str | None) -> EventStream:
    # A browser that reconnects repeats its first address, so the header is newer.
    subscription = Subscription(parts.hub, topic, after=header or query or None)
    return EventStream(parts.hub.listening(subscription), partial(is_still_authorized, parts.authenticator, request))
