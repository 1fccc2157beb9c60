"""Who may see which channel, and what the signature is."""

import asyncio
import hashlib
import hmac
import json
import logging
from datetime import UTC, datetime

import httpx
import pytest
from pydantic import SecretStr
from pymongo import MongoClient

from jobtrail.models.errors import SettingError
from jobtrail.models.notifications.pusher_channels import dataset_channel, user_channel
from jobtrail.models.settings import Settings
from jobtrail.models.token import Role
from tests.web.conftest import PUSHER_KEY, PUSHER_SECRET, Tokens, serving

SOCKET = "1234.5678"


async def ask(web: httpx.AsyncClient, token: str | None, channel: str, socket_id: str = SOCKET) -> httpx.Response:
    """Ask as pusher-js and pysher do."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return await web.post("/pusher/auth", data={"socket_id": socket_id, "channel_name": channel}, headers=headers)


def assert_signed(answer: httpx.Response, channel: str, socket_id: str = SOCKET) -> None:
    """Check the signature as Pusher does."""
    assert answer.status_code == 200, answer.text
    signature = hmac.new(PUSHER_SECRET.encode(), f"{socket_id}:{channel}".encode(), hashlib.sha256).hexdigest()
    assert answer.json() == {"auth": f"{PUSHER_KEY}:{signature}"}


def assert_problem(answer: httpx.Response, status: int, words: str = "") -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert told.keys() == {"type", "title", "status", "detail"}
    assert told["status"] == status
    assert words in told["detail"]


@pytest.fixture
def dataset(mongo_client: MongoClient, settings: Settings) -> str:
    """A dataset of the group of the users 7 (the console's ids may be numbers) and bob."""
    console = mongo_client[settings.console_database]
    users = [{"id": 7, "email": "seven@example.org"}, {"id": "bob"}]
    group = console.wishlist_to_groups.insert_one({"name": "Wishes", "users": users}).inserted_id
    now = datetime.now(UTC)
    console.wishlist_dataset_histories.insert_one(
        {"dataset_id": "ds:1", "wishlist_to_group_id": group, "status": "Pending", "created_at": now}
    )
    return "ds:1"


@pytest.mark.parametrize("user", ["7", "ann@example.org", "Zoë Müller", "a" * 500])
async def test_a_user_may_see_their_own_channel(web: httpx.AsyncClient, tokens: Tokens, user: str) -> None:
    channel = user_channel(user)
    assert_signed(await ask(web, await tokens.make(user=user), channel), channel)


async def test_a_form_and_json_are_the_same(web: httpx.AsyncClient, tokens: Tokens) -> None:
    channel = user_channel("ann")
    answer = await web.post(
        "/pusher/auth",
        json={"socket_id": SOCKET, "channel_name": channel},
        headers={"Authorization": f"bearer {await tokens.make(user='ann')}"},
    )
    assert_signed(answer, channel)


async def test_nobody_may_see_another_users_channel(web: httpx.AsyncClient, tokens: Tokens) -> None:
    askers = [
        await tokens.make("bob", user="bob"),
        await tokens.make("operator", user="bob", role=Role.OPERATOR),
        await tokens.make("program"),
        await tokens.make("program-operator", role=Role.OPERATOR),
    ]
    for token in askers:
        assert_problem(await ask(web, token, user_channel("ann")), 403)


@pytest.mark.parametrize("user", ["7", "bob"])
async def test_users_of_the_wishlist_group_may_see_the_datasets_channel(
    web: httpx.AsyncClient, tokens: Tokens, dataset: str, user: str
) -> None:
    channel = dataset_channel(dataset)
    assert_signed(await ask(web, await tokens.make(user=user), channel), channel)


async def test_other_users_and_programs_may_not_see_the_datasets_channel(
    web: httpx.AsyncClient, tokens: Tokens, dataset: str
) -> None:
    for name, user in (("ann", "ann"), ("program", None), ("nobody", "None")):
        assert_problem(await ask(web, await tokens.make(name, user=user), dataset_channel(dataset)), 403)


async def test_an_operator_may_see_every_datasets_channel(web: httpx.AsyncClient, tokens: Tokens, dataset: str) -> None:
    token = await tokens.make(role=Role.OPERATOR)
    for channel in (dataset_channel(dataset), dataset_channel("not-here-yet")):
        assert_signed(await ask(web, token, channel), channel)


async def test_a_dataset_that_is_not_there_looks_like_one_that_may_not_be_seen(
    web: httpx.AsyncClient, tokens: Tokens, dataset: str, mongo_client: MongoClient, settings: Settings
) -> None:
    histories = mongo_client[settings.console_database].wishlist_dataset_histories
    histories.insert_one({"dataset_id": "broken", "status": "Nonsense"})
    histories.insert_one(
        {"dataset_id": "orphan", "status": "Pending", "created_at": datetime.now(UTC), "wishlist_to_group_id": 99}
    )
    foreign = await ask(web, await tokens.make("ann", user="ann"), dataset_channel(dataset))
    token = await tokens.make("bob", user="bob")
    for dataset_id in ("unknown", "broken", "orphan"):
        answer = await ask(web, token, dataset_channel(dataset_id))
        assert (answer.status_code, answer.json()) == (foreign.status_code, foreign.json())


@pytest.mark.parametrize(
    "channel",
    [
        "private-user-",
        "private-dataset-",
        "private-dataset-=64s-1",  # another spelling of ds-1
        "private-other-1",
        "presence-dataset-ds-1",
        "private-encrypted-dataset-ds-1",
        "ds-1",
    ],
)
async def test_other_channels_are_nobodys(web: httpx.AsyncClient, tokens: Tokens, channel: str) -> None:
    assert_problem(await ask(web, await tokens.make(user="ann", role=Role.OPERATOR), channel), 403)


async def test_without_a_valid_token_there_is_no_signature(web: httpx.AsyncClient, tokens: Tokens) -> None:
    channel = user_channel("ann")
    expired = await tokens.make("expired", user="ann", expires_s=-1)
    revoked = await tokens.make("revoked", user="ann")
    await tokens.repository.revoke("revoked", datetime.now(UTC))

    answer = await ask(web, None, channel)
    assert_problem(answer, 401, "needs a token")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    for token in (expired, revoked, f"{expired[:-1]}!", "jt_", "é"):
        answer = await web.post(
            "/pusher/auth",
            data={"socket_id": SOCKET, "channel_name": channel},
            headers={"Authorization": f"Bearer {token}".encode()},
        )
        assert_problem(answer, 401, "unknown, revoked or expired")
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    basic = await web.post("/pusher/auth", auth=("ann", await tokens.make("basic", user="ann")))
    assert_problem(basic, 401)


async def test_a_token_works_until_it_expires(web: httpx.AsyncClient, tokens: Tokens) -> None:
    channel = user_channel("ann")
    assert_signed(await ask(web, await tokens.make(user="ann", expires_s=3600), channel), channel)


@pytest.mark.parametrize(
    "socket_id", ["", "1234", "1.2:private-user-bob", "1.2\n", "x.y", "\u0661.\u0662", f"{'1' * 21}.2"]
)
async def test_a_malformed_socket_id_is_never_signed(web: httpx.AsyncClient, tokens: Tokens, socket_id: str) -> None:
    assert_problem(await ask(web, await tokens.make(user="ann"), user_channel("ann"), socket_id), 400, "socket_id")


@pytest.mark.parametrize("channel", ["", "private-user-ann\n", "private-user-ann:1.2", "private-user-é", "p" * 165])
async def test_what_is_no_channel_name_is_malformed(web: httpx.AsyncClient, tokens: Tokens, channel: str) -> None:
    assert_problem(await ask(web, await tokens.make(user="ann"), channel), 400, "channel_name")


FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@pytest.mark.parametrize(
    ("media_type", "body", "status"),
    [
        (FORM, b"", 400),
        (FORM, b"socket_id=1.2", 400),
        (FORM, b"\xff\xfe", 400),
        (FORM, b"&".join(b"a=%d" % number for number in range(100)), 400),
        (JSON, b"", 400),
        (JSON, b"[1, 2]", 400),
        (JSON, b"17", 400),
        (JSON, b"[" * 8000, 400),
        (JSON, b'{"socket_id": 1.2, "channel_name": "private-user-ann"}', 400),
        (JSON, b'{"socket_id": "1.2", "channel_name": "\\ud800"}', 400),
        ("text/plain", b"socket_id=1.2", 415),
        ("", b"socket_id=1.2", 415),
        (FORM, b"x" * 9000, 413),
    ],
)
async def test_a_body_that_is_not_what_pusher_sends_is_refused(
    web: httpx.AsyncClient, tokens: Tokens, media_type: str, body: bytes, status: int
) -> None:
    headers = {"Authorization": f"Bearer {await tokens.make(user='ann')}", "Content-Type": media_type}
    assert_problem(await web.post("/pusher/auth", content=body, headers=headers), status)


async def test_other_methods_and_paths_are_problems_too(web: httpx.AsyncClient, tokens: Tokens) -> None:
    headers = {"Authorization": f"Bearer {await tokens.make()}"}
    refused = await web.get("/pusher/auth", headers=headers)
    assert_problem(refused, 405)
    assert refused.headers["Allow"] == "POST"
    assert_problem(await web.get("/pusher/nowhere", headers=headers), 404)


async def test_where_pusher_is_off_that_is_told_to_those_who_have_a_token(settings: Settings, tokens: Tokens) -> None:
    async with serving(settings) as web:
        channel = user_channel("ann")
        assert_problem(await ask(web, await tokens.make(user="ann"), channel), 404, "JOBTRAIL_PUSHER_URL")
        assert_problem(await ask(web, None, channel), 401)


async def test_an_unusable_pusher_url_or_address_is_a_clear_error(settings: Settings, web: httpx.AsyncClient) -> None:
    with pytest.raises(SettingError, match="JOBTRAIL_PUSHER_URL"):
        async with serving(settings.model_copy(update={"pusher_url": SecretStr("http://nonsense")})):
            pass
    with pytest.raises(SettingError, match=f"127.0.0.1:{web.base_url.port}"):
        async with serving(settings.model_copy(update={"web_port": web.base_url.port})):
            pass


async def test_without_the_database_it_says_so_and_lives_on(web_settings: Settings) -> None:
    away = SecretStr("mongodb://127.0.0.1:9/?replicaSet=rs0")
    async with serving(web_settings.model_copy(update={"mongo_url": away})) as web:
        answer, health = await asyncio.gather(ask(web, "jt_x", user_channel("ann")), web.get("/health"))
        assert_problem(answer, 503, "database")
        assert answer.headers["Retry-After"] == "5"
        assert (health.status_code, health.json()) == (503, {"ok": False, "state": "no database"})


async def test_every_answer_has_the_security_headers_and_none_opens_it_to_other_origins(
    web: httpx.AsyncClient, tokens: Tokens
) -> None:
    answers = [
        await ask(web, await tokens.make(user="ann"), user_channel("ann")),
        await ask(web, None, user_channel("ann")),
        await web.get("/health", headers={"Origin": "https://evil.example"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 401, 200]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "Server" not in answer.headers
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_health_is_for_everybody(web: httpx.AsyncClient) -> None:
    answer = await web.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"ok": True})


async def test_an_unexpected_error_is_a_problem_without_its_words(
    web: httpx.AsyncClient, tokens: Tokens, mongo_client: MongoClient, settings: Settings
) -> None:
    token = await tokens.make(user="ann")
    mongo_client[settings.database].tokens.update_one({}, {"$set": {"role": "emperor"}})

    answer = await ask(web, token, user_channel("ann"))

    assert_problem(answer, 500)
    assert "emperor" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_neither_the_log_nor_the_database_holds_a_token(
    web: httpx.AsyncClient,
    tokens: Tokens,
    mongo_client: MongoClient,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    token = await tokens.make(user="ann")

    await ask(web, token, user_channel("ann"))
    await ask(web, token, user_channel("bob"))
    await ask(web, f"{token}x", user_channel("ann"))

    written = capsys.readouterr()
    logged = caplog.text + written.out + written.err
    assert "web.request" in logged
    assert "web.channel_refused" in logged
    stored = json.dumps(list(mongo_client[settings.database].tokens.find()), default=str)
    for text in (logged, stored):
        assert token not in text
        assert token.removeprefix("jt_") not in text
        assert PUSHER_SECRET not in text
