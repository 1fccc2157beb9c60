"""What the tests of REST share."""

from typing import Any

import httpx


def assert_problem(
    answer: httpx.Response, status: int, words: str = "", *, flaw: tuple[str, str] | None = None
) -> None:
    """Check that an answer tells a problem, with these words, and of this parameter (its place and name)."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert told.keys() - {"errors"} == {"type", "title", "status", "detail"}
    assert told["status"] == status
    assert words in told["detail"]
    assert flaw is None or flaw in [(each["in"], each["name"]) for each in told["errors"]], told


async def get(api: httpx.AsyncClient, path: str, **parameters: object) -> Any:
    """Ask for JSON."""
    answer = await api.get(f"/api/v1{path}", params=parameters)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return answer.json()


async def all_pages(api: httpx.AsyncClient, path: str, name: str, **parameters: object) -> list[list[Any]]:
    """Read a list page by page, by its `Link` headers, and check that they lead where `next` does."""
    pages = []
    answer = await api.get(f"/api/v1{path}", params=parameters)  # type: ignore[arg-type]
    while True:
        assert answer.status_code == 200, answer.text
        pages.append(answer.json()[name])
        cursor = answer.json()["next"]
        assert (cursor is None) == ("next" not in answer.links)
        if cursor is None:
            return pages
        next_ = answer.links["next"]["url"]
        assert httpx.URL(next_).params["cursor"] == cursor
        answer = await api.get(next_)
