"""A page of HTML as a tree, for tests to look into."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path


@dataclass
class Element:
    """One element of a page."""

    tag: str
    attributes: dict[str, str]
    children: list["Element | str"] = field(default_factory=list)

    def all(self, tag: str) -> "list[Element]":
        """Elements of this kind below this one, in the page's order."""
        inner = [child for child in self.children if isinstance(child, Element)]
        return [
            found
            for child in inner
            for found in ([child] if child.tag == tag else []) + child.all(tag)
        ]

    def every(self) -> "list[Element]":
        """This one and all below it."""
        return [
            self,
            *(e for child in self.children if isinstance(child, Element) for e in child.every()),
        ]

    @property
    def text(self) -> str:
        return "".join(
            child.text if isinstance(child, Element) else child for child in self.children
        )


class _Reader(HTMLParser):
    """A tree from HTML, which fails where an element is not closed by its own end."""

    _VOID = frozenset({"meta", "link", "img", "source", "br"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("page", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in self._VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read(path: Path) -> Element:
    return parse(path.read_text())


def parse(text: str) -> Element:
    reader = _Reader()
    reader.feed(text)
    (page,) = reader.open
    return page


def with_class(page: Element, tag: str, name: str) -> list[Element]:
    return [
        element for element in page.all(tag) if name in element.attributes.get("class", "").split()
    ]
