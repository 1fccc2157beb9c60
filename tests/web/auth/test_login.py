"""Logging in and out, and the session between the two."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie

import httpx
import pytest
from fastapi import Response
from pymongo import MongoClient

from jobtrail.models.settings import Settings
from jobtrail.models.token import Role
from jobtrail.store.database import Database
from jobtrail.web.auth.login_tries import MAX_ADDRESSES, MAX_TRIES, WINDOW_S, LoginTries
from jobtrail.web.auth.session import LIFETIME, OPEN, Sessions
from jobtrail.web.parts import make_parts
from jobtrail.web.paths import local_path
from tests.web.conftest import Asking, Tokens

HTML = {"Accept": "text/html"}


@pytest.fixture
def web(asking: Asking) -> httpx.AsyncClient:
    """The web where tokens are needed, as a browser asks it."""
    return asking(web_auth="tokens")


@pytest.fixture
def sessions(settings: Settings, database: Database) -> Sessions:
    return make_parts(settings, database).sessions


async def log_in(web: httpx.AsyncClient, token: str, after: str = "/audit") -> httpx.Response:
    return await web.post("/login", data={"token": token, "next": after})


def form_token(page: httpx.Response) -> str:
    """The CSRF token in a page's forms."""
    assert page.status_code == 200, page.text
    [token] = set(re.findall(r'name="csrf_token" value="([^"]+)"', page.text))
    return str(token)


def cookie_of(answer: httpx.Response) -> SimpleCookie:
    return SimpleCookie(answer.headers["Set-Cookie"])


async def test_a_token_is_traded_for_a_session_that_ends_with_the_logout(
    web: httpx.AsyncClient, asking: Asking, tokens: Tokens
) -> None:
    secret = await tokens.make("ann-laptop", user="ann", role=Role.OPERATOR)

    form = await web.get("/login", params={"next": "/audit?act=login"})
    assert form.status_code == 200
    assert '<input id="token" name="token" type="password"' in form.text
    assert 'name="next" value="/audit?act=login"' in form.text
    entered = await log_in(web, f" {secret}\n", "/audit?act=login")
    assert (entered.status_code, entered.headers["Location"]) == (303, "/audit?act=login")
    page = await web.get("/audit")
    assert "ann-laptop" in page.text

    # Another web on the same database knows the session too.
    stolen = dict(web.cookies)
    other = asking(web_auth="tokens")
    other.cookies.update(stolen)
    assert (await other.get("/audit")).status_code == 200

    left = await web.post("/logout", data={"csrf_token": form_token(page)})
    assert (left.status_code, left.headers["Location"]) == (303, "/login")
    assert not web.cookies
    for client in (web, other):
        assert (await client.get("/audit", headers=HTML)).status_code == 303


async def test_the_cookie_is_kept_from_scripts_and_other_sites_and_holds_no_token(
    asking: Asking, tokens: Tokens
) -> None:
    secret = await tokens.make()
    plain = cookie_of(await log_in(asking(web_auth="tokens"), secret))["jobtrail"]
    secure = cookie_of(await log_in(asking(web_url="https://jobtrail.example.org"), secret))["__Host-jobtrail"]

    for cookie in (plain, secure):
        assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (True, "lax", "/", "")
        assert int(cookie["max-age"]) == 12 * 3600
        assert secret not in cookie.value
    assert (plain["secure"], secure["secure"]) == ("", True)


async def test_a_session_ends_at_once_with_its_token(
    web: httpx.AsyncClient, tokens: Tokens, mongo_client: MongoClient, settings: Settings
) -> None:
    await log_in(web, await tokens.make("one", role=Role.OPERATOR))
    assert (await web.get("/audit")).status_code == 200
    await tokens.repository.revoke("one", datetime.now(UTC))
    assert (await web.get("/audit")).status_code == 401

    await log_in(web, await tokens.make("two", role=Role.OPERATOR, expires_s=3600))
    assert (await web.get("/audit")).status_code == 200
    expired = {"$set": {"expires_at": datetime.now(UTC)}}
    mongo_client[settings.database].tokens.update_one({"name": "two"}, expired)
    assert (await web.get("/audit")).status_code == 401


async def test_a_forged_or_expired_cookie_opens_nothing(
    web: httpx.AsyncClient,
    tokens: Tokens,
    sessions: Sessions,
    mongo_client: MongoClient,
    settings: Settings,
) -> None:
    secret = await tokens.make(role=Role.OPERATOR)
    [token] = await tokens.repository.list()

    async def status(cookie: str) -> int:
        return (await web.get("/audit", headers={"Cookie": f"jobtrail={cookie}".encode()})).status_code

    async def begun(at: datetime) -> str:
        response = Response()
        await sessions.begin(response, token.id, at)
        return SimpleCookie(response.headers["Set-Cookie"])["jobtrail"].value

    now = datetime.now(UTC)
    good = await begun(now)
    assert await status(good) == 200
    assert await status(await begun(now - LIFETIME + timedelta(minutes=1))) == 200
    assert await status(await begun(now - LIFETIME)) == 401
    payload, _, signature = good.rpartition(".")
    for forged in (payload, f"{payload}.", f"{payload}.{signature[:-2]}", f"x{good}", "x.y", "", "é", token.id, secret):
        assert await status(forged) == 401, forged
    # A signature is not enough: the session must have begun with a login, and its id is nowhere in the database.
    stored = mongo_client[settings.database].sessions
    assert good not in str(list(stored.find()))
    stored.delete_many({})
    assert await status(good) == 401


async def test_a_form_of_one_session_is_none_of_another(asking: Asking, tokens: Tokens, sessions: Sessions) -> None:
    ann, bob = asking(web_auth="tokens"), asking(web_auth="tokens")
    await log_in(ann, await tokens.make("ann", role=Role.OPERATOR))
    await log_in(bob, await tokens.make("bob", role=Role.OPERATOR))
    anns, bobs = form_token(await ann.get("/audit")), form_token(await bob.get("/audit"))

    assert anns != bobs
    for wrong in (bobs, await sessions.csrf_token(OPEN), ""):
        assert (await ann.post("/logout", data={"csrf_token": wrong})).status_code == 403
        assert (await ann.post("/logout", json={}, headers={"X-CSRF-Token": wrong})).status_code == 403
    assert (await ann.post("/logout", json={})).status_code == 403
    assert (await ann.post("/logout", json={}, headers={"X-CSRF-Token": anns})).status_code == 303


async def test_where_the_door_is_open_a_login_still_says_who_one_is(asking: Asking, tokens: Tokens) -> None:
    web = asking()
    assert "Access from this machine only" in (await web.get("/audit")).text
    await log_in(web, await tokens.make("viewer", user="ann"))
    assert (await web.get("/audit")).status_code == 403
    await tokens.repository.revoke("viewer", datetime.now(UTC))
    assert (await web.get("/audit")).status_code == 200


async def test_a_login_leads_to_a_page_of_ours_only(web: httpx.AsyncClient, tokens: Tokens) -> None:
    secret = await tokens.make()
    ours = ["/", "/jobs/a%2Fb?status=ERROR#x"]
    foreign = [
        *("", "jobs", "https://evil.example/", "//evil.example", " //evil.example", "javascript:alert(1)"),
        *("/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example", "/jobs\\..\\x"),
    ]
    for wanted, got in (*((path, path) for path in ours), *((path, "/") for path in foreign)):
        assert local_path(wanted) == got
        entered = await log_in(web, secret, wanted)
        assert (entered.status_code, entered.headers["Location"]) == (303, got), wanted
        form = await web.get("/login", params={"next": wanted})
        assert f'name="next" value="{got}"' in form.text


async def test_failed_logins_are_told_and_limited_by_address(asking: Asking, tokens: Tokens) -> None:
    secret = await tokens.make()
    web = asking(address="192.0.2.7")
    for _ in range(MAX_TRIES // 2):
        assert (await log_in(web, secret)).status_code == 303
    # All at once: none slips through while others are looked up.
    answers = await asyncio.gather(*(log_in(web, "jt_<script>") for _ in range(2 * MAX_TRIES)))
    assert sorted(answer.status_code for answer in answers) == [401] * MAX_TRIES + [429] * MAX_TRIES
    refused = next(answer for answer in answers if answer.status_code == 401)
    assert "unknown, revoked or expired" in refused.text
    assert "jt_" not in refused.text.replace('placeholder="jt_…"', "")

    limited = await log_in(web, secret)
    assert limited.status_code == 429
    assert 0 < int(limited.headers["Retry-After"]) <= WINDOW_S
    assert "Too many attempts" in limited.text
    assert "Set-Cookie" not in limited.headers


class Clock:
    """A clock that a test sets."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tries(clock: Callable[[], float]) -> LoginTries:
    return LoginTries(clock)


def test_a_try_is_forgotten_after_a_minute(tries: LoginTries, clock: Clock) -> None:
    for _ in range(MAX_TRIES):
        assert tries.begin("192.0.2.7") == 0
        clock.now_s += 1
    assert tries.begin("192.0.2.7") == WINDOW_S - MAX_TRIES
    assert tries.begin("192.0.2.8") == 0
    clock.now_s += WINDOW_S - MAX_TRIES - 0.5
    assert tries.begin("192.0.2.7") == 1
    clock.now_s += 0.5
    assert tries.begin("192.0.2.7") == 0
    assert tries.begin("192.0.2.7") > 0


def test_a_login_that_succeeds_does_not_count(tries: LoginTries) -> None:
    for _ in range(3 * MAX_TRIES):
        assert tries.begin("192.0.2.7") == 0
        tries.forgive("192.0.2.7")


def test_addresses_of_one_ipv6_network_are_one(tries: LoginTries) -> None:
    for number in range(MAX_TRIES):
        assert tries.begin(f"2001:db8::{number:x}") == 0
    assert tries.begin("2001:db8::ffff:1") > 0
    assert tries.begin("2001:db8:0:1::1") == 0
    assert tries.begin("somewhere") == 0


def test_the_memory_for_tries_is_bounded(tries: LoginTries) -> None:
    for _ in range(MAX_TRIES):
        tries.begin("first")
    for number in range(MAX_ADDRESSES - 1):
        tries.begin(f"address-{number}")
    assert tries.begin("first") > 0
    for number in range(MAX_ADDRESSES):
        tries.begin(f"other-{number}")
    assert len(tries._tries) == MAX_ADDRESSES
    assert tries.begin("first") == 0
