"""A real Pusher client on private channels, with a local Pusher and our endpoint."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pysher
import pytest
from pydantic import SecretStr

from jobtrail.models.notifications.pusher_channels import user_channel
from jobtrail.models.settings import Settings
from jobtrail.reconciler.channels.pusher import pusher_client
from tests.reconciler.servers.pusher_server import KEY, PusherServer, pusher_server
from tests.support import WAIT_S, eventually
from tests.web.conftest import Tokens, serving


@asynccontextmanager
async def subscriber(pusher: PusherServer, endpoint: str, token: str) -> AsyncIterator[pysher.Pusher]:
    """A connected pysher that gets its signatures from an endpoint."""
    client = pysher.Pusher(
        KEY,
        secure=False,
        custom_host="127.0.0.1",
        port=pusher.port,
        auth_endpoint=endpoint,
        auth_endpoint_headers={"Authorization": f"Bearer {token}"},
    )
    # At times it misses that its socket was closed under it: it then sees that it is to end when this time is over.
    client.connection.socket_kwargs["ping_timeout"] = 1
    connected = threading.Event()
    client.connection.bind("pusher:connection_established", lambda _data: connected.set())
    client.connect()
    try:
        assert await asyncio.to_thread(connected.wait, WAIT_S)
        yield client
    finally:
        await asyncio.to_thread(client.disconnect, WAIT_S)


async def test_an_event_arrives_on_ones_own_channel_and_a_foreign_one_is_refused(
    settings: Settings, tokens: Tokens
) -> None:
    token = await tokens.make(user="ann")
    async with pusher_server() as pusher:
        configured = settings.model_copy(update={"pusher_url": SecretStr(pusher.url)})
        async with (
            serving(configured) as web,
            subscriber(pusher, f"{web.base_url}/pusher/auth", token) as client,
        ):
            heard: list[str] = []
            own = await asyncio.to_thread(client.subscribe, user_channel("ann"))
            own.bind("dataset.completed", heard.append)
            with pytest.raises(AssertionError, match="Failed to get auth token"):
                await asyncio.to_thread(client.subscribe, user_channel("bob"))
            await asyncio.to_thread(eventually, lambda: len(pusher.subscriptions) == 1)

            batch = [
                {"channel": user_channel(user), "name": "dataset.completed", "data": {"for": user}}
                for user in ("bob", "ann")
            ]
            await asyncio.to_thread(pusher_client(pusher.url).trigger_batch, batch)

            await asyncio.to_thread(eventually, lambda: len(heard) == 1)
    assert heard == ['{"for": "ann"}']
    assert pusher.refused == []
