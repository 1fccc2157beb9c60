"""What holds for every request: names, foreign pages, forms, sizes, headers."""

import socket
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import File, Form, UploadFile

from jobtrail.models.errors import SettingError
from jobtrail.models.settings import Settings, load_settings
from jobtrail.models.token import Role
from jobtrail.store.database import Database
from jobtrail.web.app import make_routes
from jobtrail.web.auth.guard import MAX_BODY_BYTES
from jobtrail.web.auth.session import OPEN
from jobtrail.web.parts import make_parts
from tests.web.auth.test_identity import routes
from tests.web.conftest import Asking, Tokens, client_of

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OUT_OF_DATE = "out of date"
FOREIGN = "A page of another site"


@pytest.fixture
def web(asking: Asking) -> httpx.AsyncClient:
    """The web, open, as this machine's user asks it."""
    return asking()


def with_echo(settings: Settings, database: Database) -> httpx.AsyncClient:
    """A client of the web with one more form, `/echo`."""
    app = make_routes(make_parts(settings, database))

    @app.post("/echo")
    async def echo(words: Annotated[str, Form()], file: Annotated[UploadFile | None, File()] = None) -> str:
        return words + ((await file.read()).decode() if file else "")

    return client_of(app)


async def csrf_token(settings: Settings, database: Database) -> str:
    """What the forms of pages carry where the door is open."""
    return await make_parts(settings, database).sessions.csrf_token(OPEN)


async def test_a_name_that_is_not_ours_is_refused_so_that_no_site_can_point_its_name_here(
    web: httpx.AsyncClient, asking: Asking
) -> None:
    ours = ["127.0.0.1", "127.0.0.1:8080", "LOCALHOST:1", "localhost.", "[::1]:8080", "192.0.2.7", socket.gethostname()]
    for host in ours:
        assert (await web.get("/login", headers={"Host": host})).status_code == 200, host
    foreign = ["evil.example", "127.0.0.1.evil.example", "evil@127.0.0.1", "127.0.0.1:80:80", "a b", "[::1", "x/y", ""]
    for host in [*foreign, "jobtrail.example.org"]:
        for path in ("/login", "/health", "/api/openapi.json", "/static/style.css"):
            refused = await web.get(path, headers={"Host": host})
            assert refused.status_code == 421, (host, path)
            assert "JOBTRAIL_WEB_URL" in refused.text
    public = asking(web_url="https://jobtrail.example.org")
    assert (await public.get("/login", headers={"Host": "jobtrail.example.org"})).status_code == 200
    assert (await public.get("/login", headers={"Host": "evil.example"})).status_code == 421


async def test_no_change_is_taken_from_a_foreign_page(
    settings: Settings, database: Database, web: httpx.AsyncClient
) -> None:
    changes = [(method, path) for method, path in routes(settings, database) if method not in ("GET", "HEAD")]
    assert ("POST", "/login") in changes
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "https://127.0.0.1:8080"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "cross-site"},
    ):
        for method, path in changes:
            refused = await web.request(method, path, headers=headers)
            assert (refused.status_code, FOREIGN in refused.text) == (403, True), (method, path, headers)
        assert (await web.get("/login", headers=headers)).status_code == 200


async def test_our_own_pages_may_also_behind_a_proxy_that_speaks_https(asking: Asking, tokens: Tokens) -> None:
    open_door, behind_proxy = asking(), asking(web_url="https://jobtrail.example.org")
    wrong = {"token": "jt_wrong"}
    for origin in ("http://127.0.0.1:8080", "HTTP://127.0.0.1:8080"):
        headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        assert (await open_door.post("/login", data=wrong, headers=headers)).status_code == 401
    for host in ("jobtrail.example.org", "127.0.0.1:8080"):
        headers = {"Host": host, "Origin": "https://jobtrail.example.org"}
        assert (await behind_proxy.post("/login", data=wrong, headers=headers)).status_code == 401
    # A browser does not show a token by itself.
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    program = asking(await tokens.make(role=Role.OPERATOR))
    assert (await program.post("/api/v1/nowhere", headers=foreign)).status_code == 404


async def test_no_form_is_taken_without_its_token(
    settings: Settings, database: Database, web: httpx.AsyncClient
) -> None:
    changes = {(method, path) for method, path in routes(settings, database) if method not in ("GET", "HEAD")}
    changes -= {("POST", "/login"), ("POST", "/pusher/auth")}
    assert ("POST", "/logout") in changes
    for method, path in changes:
        for body in ({"data": {"any": "thing"}}, {"data": {"csrf_token": "guess"}}, {"files": {"a": b"b"}}):
            refused = await web.request(method, path, **body)
            assert (refused.status_code, OUT_OF_DATE in refused.text) == (403, True), (method, path)
        with_cookie = await web.request(method, path, json={}, headers={"Cookie": "any=thing"})
        assert (with_cookie.status_code, OUT_OF_DATE in with_cookie.text) == (403, True), (method, path)


async def test_a_form_with_its_token_is_taken_and_read_whole(settings: Settings, database: Database) -> None:
    web, token = with_echo(settings, database), await csrf_token(settings, database)
    words = "ä" * 100_000

    for form, headers in (
        ({"data": {"words": words, "csrf_token": token}}, {}),
        ({"data": {"words": words}}, {"X-CSRF-Token": token}),
        ({"data": {"words": words, "csrf_token": token}, "files": {"file": b"!"}}, {}),
    ):
        answer = await web.post("/echo", headers=headers, **form)
        assert (answer.status_code, answer.json()[:100_000]) == (200, words)
    assert answer.json().endswith("ä!")
    for wrong in (token[:-1], f"{token}x", "é", "", token.swapcase()):
        assert (await web.post("/echo", data={"words": "a", "csrf_token": wrong})).status_code == 403


async def test_a_program_on_this_machine_needs_no_token_for_json(web: httpx.AsyncClient) -> None:
    assert (await web.post("/logout", json={})).status_code == 303
    assert (await web.post("/logout")).status_code == 303


async def test_a_body_that_is_too_large_is_refused_before_it_is_read_to_its_end(
    settings: Settings, database: Database
) -> None:
    web, token = with_echo(settings, database), await csrf_token(settings, database)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * MAX_BODY_BYTES:
            sent += 65536
            yield b"words=" + b"x" * 65530

    told = await web.post("/echo", content=b"x" * (MAX_BODY_BYTES + 1), headers=FORM)
    assert (told.status_code, str(MAX_BODY_BYTES) in told.text) == (413, True)
    for headers in (FORM, FORM | {"X-CSRF-Token": token}):
        sent = 0
        assert (await web.post("/echo", content=endless(), headers=headers)).status_code == 413
        assert sent <= MAX_BODY_BYTES + 65536


async def test_every_answer_has_its_security_headers(asking: Asking) -> None:
    web = asking()
    page, data, static = [await web.get(path) for path in ("/audit", "/api/openapi.json", "/static/style.css")]
    missing = [await web.get(path) for path in ("/nowhere", "/api/nowhere")]

    assert [answer.status_code for answer in (page, data, static, *missing)] == [200, 200, 200, 404, 404]
    for answer in (page, data, static, *missing):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "camera=()" in answer.headers["Permissions-Policy"]
        assert "Strict-Transport-Security" not in answer.headers
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    for answer in (page, missing[0]):
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
        assert "unsafe" not in str(policy)
        assert answer.headers["Content-Type"].startswith("text/html")
        for inline in ("<style", "style=", "onclick=", "<script>"):
            assert inline not in answer.text
    for answer in (data, static, missing[1]):
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert {answer.headers["Cache-Control"] for answer in (page, *missing)} == {"no-store"}
    assert data.headers["Cache-Control"] in ("no-store", "private, no-cache")
    secure = await asking(web_url="https://jobtrail.example.org").get("/login")
    assert secure.headers["Strict-Transport-Security"] == "max-age=31536000"


async def test_static_files_are_kept_and_asked_for_anew_and_pages_are_not_compressed(web: httpx.AsyncClient) -> None:
    first = await web.get("/static/style.css")
    again = await web.get("/static/style.css", headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, first.headers["Cache-Control"]) == (200, "no-cache")
    assert first.headers["Content-Encoding"] == "gzip"
    assert (again.status_code, again.content) == (304, b"")
    assert (await web.get("/api/openapi.json")).headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in (await web.get("/audit")).headers
    # Nothing but what is there: no folder, and an escaped slash is no way out of it.
    for path in ("/static/", "/static/pages", "/static/%2e%2e%2fapp.py", "/static/..%5Capp.py", "/static/nothing.css"):
        assert (await web.get(path)).status_code == 404, path


@pytest.mark.parametrize("url", ["jobtrail.example.org", "ftp://a", "https://a/b", "https://u:p@a", "https://a?b", ""])
def test_the_public_address_is_an_origin(url: str) -> None:
    with pytest.raises(SettingError, match="JOBTRAIL_WEB_URL") as caught:
        load_settings({"web_url": url})
    assert "u:p" not in str(caught.value)
    assert load_settings({"web_url": "https://a.example:8443/"}).web_url == "https://a.example:8443"
