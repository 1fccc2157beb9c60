"""What somebody sees of a page: its elements and their words, read by the standard library's parser."""

from collections.abc import Iterator
from html.parser import HTMLParser

import httpx

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Element:
    """One element of a page."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[Element | str] = []

    def __getitem__(self, name: str) -> str:
        return self.attributes[name]

    @property
    def text(self) -> str:
        """Its words, with single blanks between them."""
        return " ".join("".join(self._texts()).split())

    def all(self, tag: str | None = None, *, of: str | None = None, **attributes: str) -> "list[Element]":
        """All elements within it with a tag, a class (`of`) and attributes."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [
            element
            for element in self._elements()
            if (tag is None or element.tag == tag)
            and (of is None or of in element.attributes.get("class", "").split())
            and all(element.attributes.get(name) == value for name, value in wanted.items())
        ]

    def one(self, tag: str | None = None, *, of: str | None = None, **attributes: str) -> "Element":
        """The only such element."""
        found = self.all(tag, of=of, **attributes)
        assert len(found) == 1, f"{len(found)} of <{tag} class={of} {attributes}> in: {self.text[:500]}"
        return found[0]

    def rows(self) -> list[list[str]]:
        """The words of each row of its tables, headings included, without empty cells."""
        return [
            [cell.text for cell in row.children if isinstance(cell, Element) and cell.text] for row in self.all("tr")
        ]

    def link(self, words: str) -> str:
        """Where the link with these words leads."""
        found = {link["href"] for link in self.all("a") if link.text == words}
        assert len(found) == 1, f"{found} for {words!r} among {[link.text for link in self.all('a')]}"
        return found.pop()

    def form(self, action: str, **hidden: str) -> dict[str, str]:
        """What the only form with an action, and with hidden fields, would send."""
        found = [_fields(form) for form in self.all("form", action=action)]
        found = [fields for fields in found if hidden.items() <= fields.items()]
        assert len(found) == 1, f"{len(found)} forms for {action} with {hidden}"
        return found[0]

    def _elements(self) -> "Iterator[Element]":
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child._elements()

    def _texts(self) -> Iterator[str]:
        for child in self.children:
            if isinstance(child, str):
                yield child
            else:
                yield from child._texts()
        if self.tag not in ("a", "b", "bdi", "span", "code"):
            yield " "


def _fields(form: Element) -> dict[str, str]:
    return {field["name"]: field.attributes.get("value", "") for field in form.all("input")}


def seen(response: httpx.Response, status: int = 200) -> Element:
    """Read a page's main part.

    Args:
        response: The answer.
        status: The status that it must have.
    """
    assert response.status_code == status, response.text[:2000]
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    reader = _Reader()
    reader.feed(response.text)
    assert [element.tag for element in reader.open] == ["page"], "an element is not closed"
    assert len(reader.page.all("script")) == 1, "only our own script"
    assert not [element for element in reader.page.all() if any(name.startswith("on") for name in element.attributes)]
    assert not [element for element in reader.page.all() if "style" in element.attributes]
    ids = [element["id"] for element in reader.page.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids)), "an id is there twice"
    return reader.page.one("main")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Element("page", {})
        self.open = [self.page]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)
