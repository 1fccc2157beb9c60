from jobtrail.models.token import Role
from tests.web.conftest import Asking, Tokens

READS = [
    "/api/v2/jobs",
    "/api/v2/jobs/j-1/summary",
    "/api/v2/jobs/j-1/updates",
    "/api/v2/listeners",
    "/api/v2/listeners/search",
    "/api/v2/listeners/categories",
    "/api/v2/listeners/defaultLabels",
    "/api/v2/listeners/x",
    "/api/v2/listeners/x/status",
    "/api/extractions/f-1/status",
    "/api/extractors",
    "/api/extractors/x",
]


async def test_a_viewer_reads_everything_and_nobody_else_anything(asking: Asking, tokens: Tokens) -> None:
    async with asking(web_auth="tokens") as stranger, asking(await tokens.make(role=Role.VIEWER)) as viewer:
        for path in READS:
            refused, answered = await stranger.get(path), await viewer.get(path)

            assert (refused.status_code, "detail" in refused.json()) == (401, True), path
            assert answered.status_code in (200, 404), path


async def test_nothing_can_be_changed_there(asking: Asking) -> None:
    async with asking() as client:
        answers = [await client.request(method, path) for path in READS for method in ("POST", "PUT", "DELETE")]

    assert {answer.status_code for answer in answers} == {405}


async def test_a_token_may_be_shown_as_clowder_2s_api_key(asking: Asking, tokens: Tokens) -> None:
    async with asking(web_auth="tokens") as client:
        known = await client.get("/api/v2/jobs", headers={"X-API-Key": await tokens.make(role=Role.VIEWER)})
        unknown = await client.get("/api/v2/jobs", headers={"X-API-Key": "jt_nobody"})

    assert (known.status_code, unknown.status_code) == (200, 401)
