"""Who is let in, and who may change something."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr

from jobtrail.models.errors import SettingError
from jobtrail.models.settings import Settings, load_settings
from jobtrail.models.token import Role, valid_token_name
from jobtrail.store.database import Database
from jobtrail.web.app import make_app, make_routes
from jobtrail.web.auth.hosts import is_open
from jobtrail.web.dependencies import Caller
from jobtrail.web.parts import make_parts
from tests.web.conftest import Asking, Tokens, client_of, serving

HTML = {"Accept": "text/html,application/xhtml+xml"}
FOR_EVERYBODY = {"/health", "/login"}
NO_CHANGE = {"/login", "/logout", "/pusher/auth"}


def with_tokens(settings: Settings) -> Settings:
    return settings.model_copy(update={"web_auth": "tokens"})


def routes(settings: Settings, database: Database) -> Iterator[tuple[str, str]]:
    """Every route that there is, as method and path; ids in paths are made up."""
    for route in iter_route_contexts(make_routes(make_parts(settings, database)).routes):
        for method in route.methods or {"GET"}:
            yield method, "/".join("x" if part.startswith("{") else part for part in str(route.path).split("/"))


def who(settings: Settings, database: Database, token: str | None = None) -> httpx.AsyncClient:
    """A client of the web with one more page, `/api/who`, which says for whom one is taken."""
    app = make_routes(make_parts(settings, database))

    @app.get("/api/who")
    async def tell(identity: Caller) -> list[str | None]:
        return [identity.name, identity.role, identity.user_id, identity.origin]

    return client_of(app, token, address="192.0.2.7")


async def test_on_a_loopback_address_everybody_is_an_operator(
    settings: Settings, database: Database, tokens: Tokens
) -> None:
    assert (await who(settings, database).get("/api/who")).json() == ["local", "operator", None, "192.0.2.7"]
    token = await tokens.make("ann-laptop", user="ann")
    assert (await who(settings, database, token).get("/api/who")).json() == ["ann-laptop", "viewer", "ann", "192.0.2.7"]
    with pytest.raises(SettingError, match="local"):
        valid_token_name("local")


async def test_a_token_that_opens_nothing_is_refused_also_where_the_door_is_open(
    settings: Settings, database: Database, tokens: Tokens
) -> None:
    token = await tokens.make("one")
    await tokens.repository.revoke("one", datetime.now(UTC))
    for bad in (token, "jt_guess", ""):
        for each in (settings, with_tokens(settings)):
            refused = await who(each, database, bad).get("/api/who")
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
            assert refused.json()["status"] == 401


async def test_where_tokens_are_needed_programs_are_told_and_people_get_the_login_page(asking: Asking) -> None:
    web = asking(web_auth="tokens")

    told = await web.get("/api/openapi.json", headers=HTML)
    assert (told.status_code, told.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert told.headers["Content-Type"] == "application/problem+json"
    assert "Authorization: Bearer" in told.json()["detail"]
    assert (await web.get("/audit")).status_code == 401

    for path, following in (
        ("/audit", "/audit"),
        ("/audit?act=job.cancel&cursor=a%26b", "/audit%3Fact%3Djob.cancel%26cursor%3Da%2526b"),
        ("/jobs/a%2Fb%3Fc", "/jobs/a%252Fb%253Fc"),
    ):
        answer = await web.get(path, headers=HTML)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/login?next={following}")
    sent = await web.post("/jobs/x/cancel", headers=HTML)
    assert (sent.status_code, sent.headers["Location"]) == (303, "/login")


async def test_without_a_token_every_route_is_closed_but_health_login_and_static_files(
    settings: Settings, database: Database, asking: Asking
) -> None:
    web = asking(web_auth="tokens")
    seen = set(routes(settings, database))
    assert {("POST", "/logout"), ("GET", "/audit"), ("GET", "/api/openapi.json"), ("GET", "/static")} <= seen
    for method, path in seen:
        is_for_everybody = path in FOR_EVERYBODY or path.startswith("/static")
        answer = await web.request(method, f"{path}/style.css" if path == "/static" else path)
        if (method, path) != ("POST", "/login"):  # without a token in its form
            assert (answer.status_code == 401) is not is_for_everybody, (method, path)
        if not is_for_everybody:
            assert (await web.request(method, path, headers=HTML)).status_code in (303, 401), (method, path)
    # What is no route tells nobody so.
    assert (await web.get("/api/nowhere")).status_code == 401
    assert (await web.get("/nowhere", headers=HTML)).status_code == 303


async def test_a_viewers_token_can_change_nothing(
    settings: Settings, database: Database, asking: Asking, tokens: Tokens
) -> None:
    viewer = asking(await tokens.make(user="ann"))
    changes = {(method, path) for method, path in routes(settings, database) if method not in ("GET", "HEAD")}
    assert changes
    for method, path in changes:
        answer = await viewer.request(method, path, json={})
        assert (answer.status_code == 403) is (path not in NO_CHANGE), (method, path, answer.text)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (await viewer.request(method, "/api/v1/no/such/route")).status_code == 403
    assert (await viewer.get("/audit")).status_code == 403
    operator = asking(await tokens.make("operator", role=Role.OPERATOR))
    assert (await operator.get("/audit")).status_code == 200
    assert (await operator.post("/api/v1/no/such/route")).status_code == 404


def test_only_what_this_machine_alone_can_reach_is_open() -> None:
    for changes in (
        {},
        {"web_host": "localhost"},
        {"web_host": "::1"},
        {"web_host": "127.5.5.5", "web_url": "http://localhost:9000"},
    ):
        assert is_open(load_settings(changes)), changes
    for changes in (
        {"web_auth": "tokens"},
        {"web_host": "0.0.0.0"},
        {"web_host": "::"},
        {"web_host": "192.0.2.7"},
        {"web_host": "jobtrail.example.org"},
        {"web_host": ""},
        # A proxy on this machine reaches a loopback address for everybody.
        {"web_url": "https://jobtrail.example.org"},
    ):
        assert not is_open(load_settings(changes)), changes


async def test_the_web_does_not_start_elsewhere_before_there_is_a_token(settings: Settings, tokens: Tokens) -> None:
    elsewhere = settings.model_copy(update={"web_host": "0.0.0.0"})

    async def assert_refused() -> None:
        with pytest.raises(SettingError, match="jobtrail token create NAME --role operator"):
            async with serving(elsewhere):
                pass

    await assert_refused()
    await tokens.make("expired", expires_s=-1)
    await tokens.make("revoked")
    await tokens.repository.revoke("revoked", datetime.now(UTC))
    await assert_refused()

    secret = await tokens.make("valid")
    async with serving(elsewhere) as web:
        assert (await web.get("/api/openapi.json")).status_code == 401
        answer = await web.get("/api/openapi.json", headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == 200


async def test_without_a_database_the_web_starts_and_lets_nobody_in(settings: Settings) -> None:
    away = with_tokens(settings).model_copy(update={"mongo_url": SecretStr("mongodb://127.0.0.1:9/")})
    async with serving(away) as web:
        assert (await web.get("/login")).status_code == 200
        assert (await web.get("/api/openapi.json")).status_code == 401

    async with Database(away.require_mongo_url(), "x", timeout_s=0.1) as database:
        web = client_of(make_app(away, database), "jt_any")
        assert (await web.get("/health")).status_code == 503
        shown = await web.get("/audit", headers=HTML)
        assert (shown.status_code, shown.headers["Retry-After"]) == (503, "5")
        assert "The database is unavailable" in shown.text
        assert (await web.get("/api/openapi.json")).json()["status"] == 503
