"""`POST /pusher/auth`: signs a subscription to a private Pusher channel, for those who may see that channel.

Pusher's clients call it with the `socket_id` of their connection and a `channel_name`, and pass the signature on.
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl

import structlog
from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException

from jobtrail.models.errors import NotFoundError, RecordError
from jobtrail.models.notifications.pusher_channels import dataset_of, is_channel_name, user_channel
from jobtrail.models.token import Role
from jobtrail.store.datasets.datasets import DatasetRepository
from jobtrail.web.auth.identity import Identity
from jobtrail.web.dependencies import AppParts, Caller

log = structlog.get_logger()

MAX_BODY_BYTES = 8 * 1024

_SOCKET_ID = re.compile(r"[0-9]{1,20}\.[0-9]{1,20}")
_MAX_FIELDS = 20

router = APIRouter()


@router.post("/pusher/auth")
async def authorize(parts: AppParts, request: Request, identity: Caller) -> Mapping[str, str]:
    if parts.pusher is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "Pusher is off: JOBTRAIL_PUSHER_URL is not set.")
    socket_id, channel = _subscription(await _fields(request))
    if not await _may_see(identity, channel, parts.datasets):
        log.info("Channel refused", action="web.channel_refused", channel=channel, token=identity.name)
        raise HTTPException(HTTPStatus.FORBIDDEN, "This token may not see that channel.")
    signed: Mapping[str, str] = parts.pusher.authenticate(channel, socket_id)
    return signed


async def _may_see(identity: Identity, channel: str, datasets: DatasetRepository) -> bool:
    if identity.user_id is not None and channel == user_channel(identity.user_id):
        return True
    dataset_id = dataset_of(channel)
    if not dataset_id:
        return False
    return identity.role is Role.OPERATOR or (
        identity.user_id is not None and await _concerns(datasets, dataset_id, identity.user_id)
    )


async def _concerns(datasets: DatasetRepository, dataset_id: str, user_id: str) -> bool:
    """Tell whether a user is one of the dataset's wishlist group."""
    try:
        history = await datasets.get(dataset_id)
    except (NotFoundError, RecordError):
        return False
    groups, _broken = await datasets.groups([history.group_key])
    return any(user.id == user_id for group in groups.values() for user in group.users)


def _subscription(fields: Mapping[str, object]) -> tuple[str, str]:
    """Check the socket id and the channel: what is signed is the two with a colon between them."""
    socket_id, channel = fields.get("socket_id"), fields.get("channel_name")
    if not isinstance(socket_id, str) or _SOCKET_ID.fullmatch(socket_id) is None:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "socket_id must be two numbers with a dot between them.")
    if not isinstance(channel, str) or not is_channel_name(channel):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "channel_name must be the name of a Pusher channel.")
    return socket_id, channel


async def _fields(request: Request) -> Mapping[str, object]:
    """Read the fields of a form, which Pusher's clients send, or of a JSON object."""
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    body = await _body(request)
    try:
        if media_type == "application/x-www-form-urlencoded":
            return dict(parse_qsl(body.decode(), max_num_fields=_MAX_FIELDS))
        if media_type == "application/json":
            return dict(json.loads(body))
    except (ValueError, TypeError, RecursionError) as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"The body can't be read as {media_type}.") from error
    raise HTTPException(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/x-www-form-urlencoded or application/json."
    )


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body must not exceed {MAX_BODY_BYTES} bytes."
            )
    return bytes(body)
