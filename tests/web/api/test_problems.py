"""How REST tells what went wrong, whatever it was."""

import httpx
from pydantic import SecretStr

from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.web.app import make_app
from tests.web.api.support import assert_problem
from tests.web.conftest import Asking, client_of


async def test_unknown_paths_and_methods_are_problems(api: httpx.AsyncClient) -> None:
    for path in ("/api/", "/api/v1/", "/api/v1/nothing", "/api/v2/nothing"):
        assert_problem(await api.get(path), 404)
    for path, allowed in (
        ("/api/v1/jobs", "GET, POST"),
        ("/api/v1/jobs/a%2Fb", "GET"),
        ("/api/v1/jobs/a/cancel", "POST"),
    ):
        refused = await api.delete(path)
        assert_problem(refused, 405)
        assert refused.headers["Allow"] == allowed


async def test_a_body_that_is_no_json_is_refused(api: httpx.AsyncClient) -> None:
    async def post(body: bytes, media_type: str | None) -> httpx.Response:
        headers = {} if media_type is None else {"Content-Type": media_type}
        return await api.post("/api/v1/jobs", content=body, headers=headers)

    for broken in (b"{", b"", b"\xff\xfe", b"[" * 100_000, b"1" * 5000, b'"text"', b"[]", b"null"):
        assert_problem(await post(broken, "application/json"), 400)
    for media_type in ("text/plain", "application/xml", None):
        assert_problem(await post(b'{"queue": "q", "resource_id": "f"}', media_type), 415, "application/json")


async def test_many_flaws_make_no_large_answer(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/jobs", json={f"field-{number}": number for number in range(1000)})
    assert_problem(answer, 400)
    assert len(answer.json()["errors"]) == 20


async def test_a_body_of_more_than_a_mebibyte_is_refused(api: httpx.AsyncClient) -> None:
    async def parts():  # type: ignore[no-untyped-def]
        for _ in range(20):
            yield b" " * 65536

    for body in (b" " * (2**20 + 1), parts()):
        answer = await api.post("/api/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        assert_problem(answer, 413, "1048576 bytes")


async def test_without_the_database_every_endpoint_says_so(settings: Settings) -> None:
    away = Database("mongodb://127.0.0.1:9/?replicaSet=rs0", "none", timeout_s=0.1)
    async with away, client_of(make_app(settings, away)) as api:
        for path in ("/jobs", "/jobs/a", "/resources/a", "/extractors", "/datasets", "/notifications", "/outbox"):
            answer = await api.get(f"/api/v1{path}")
            assert_problem(answer, 503, "database")
            assert answer.headers["Retry-After"] == "5"
            assert "127.0.0.1:9" not in answer.text


async def test_no_endpoint_answers_without_a_token_where_tokens_are_on(asking: Asking) -> None:
    async with asking(web_auth="tokens") as nobody:
        paths = (await described(asking))["paths"]
        for path, operations in paths.items():
            for method in operations:
                answer = await nobody.request(method, path.replace("{", "").replace("}", ""))
                assert_problem(answer, 401, "token")
        assert_problem(await nobody.get("/api/openapi.json"), 401)
        assert len(paths) > 15


async def described(asking: Asking) -> dict[str, dict[str, object]]:
    async with asking() as api:
        told: dict[str, dict[str, object]] = (await api.get("/api/openapi.json")).json()
        return told


async def test_secrets_in_what_was_sent_do_not_come_back(api: httpx.AsyncClient, settings: Settings) -> None:
    assert isinstance(settings.amqp_url, SecretStr)
    answer = await api.post("/api/v1/jobs", json={"queue": "q", "resource_id": "f", "secretKey": "s3cret"})
    assert_problem(answer, 400, flaw=("body", "secretKey"))
    assert "s3cret" not in answer.text
