"""A letter that may be a repetition says so, and leads to the first; it can be asked for, or left out."""

import httpx
import pytest

from jobtrail.store.database import Database
from tests.web.letters import letter, store_letters
from tests.web.pages.seen import seen

LIST = "/dead-letters/letters"


@pytest.fixture
async def ids(database: Database) -> tuple[str, str]:
    """The first letter, and one that may be a repetition of it."""
    [first] = await store_letters(database, [letter(1)])
    [second] = await store_letters(database, [letter(2, maybe_repeated=first.id)])
    return first.id, second.id


async def test_the_page_and_the_list_lead_to_the_first(web: httpx.AsyncClient, ids: tuple[str, str]) -> None:
    first, second = ids
    page = seen(await web.get(f"/dead-letters/{second}"))
    assert page.one(id="from").link(first) == f"/dead-letters/{first}"
    assert "maybe repeated" in page.one(id="state").text
    assert "maybe repeated" not in seen(await web.get(f"/dead-letters/{first}")).one(id="state").text
    assert seen(await web.get(LIST)).one(id="letters").link("maybe repeated") == f"/dead-letters/{first}"


async def test_pages_and_rest_tell_repetitions_from_others(web: httpx.AsyncClient, ids: tuple[str, str]) -> None:
    first, second = ids
    for asked, shown, hidden in (("true", second, first), ("false", first, second)):
        page = seen(await web.get(LIST, params={"maybe_repeated": asked}))
        told = page.one(id="letters").text
        assert shown in told
        assert hidden not in told
        answer = (await web.get("/api/v1/dead-letters", params={"maybe_repeated": asked})).json()
        assert [each["id"] for each in answer["letters"]] == [shown]
    assert answer["letters"][0]["maybe_repeated"] is None
    assert "Input should be a valid boolean" in seen(await web.get(LIST, params={"maybe_repeated": "perhaps"})).text


async def test_an_act_on_repetitions_leaves_the_first_alone(
    web: httpx.AsyncClient, database: Database, ids: tuple[str, str]
) -> None:
    answer = await web.post("/api/v1/dead-letters/discard", json={"maybe_repeated": True, "why": "it came twice"})
    assert (answer.status_code, answer.json()) == (200, {"count": 1})
    letters = {str(each["_id"]): each["state"] async for each in database.collection("dead_letters").find()}
    assert letters == dict(zip(ids, ("open", "discarded"), strict=True))
