"""The text of an HTML page: what a reader would see, block by block. Standard library alone; pure."""

import re
from html.parser import HTMLParser
from typing import Final

_UNSEEN: Final = frozenset({"script", "style", "noscript", "template", "svg", "head", "iframe", "object"})
_VOID: Final = frozenset({"br", "hr", "img", "input", "link", "meta"})
_BLOCKS: Final = frozenset(
    {
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "br",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "option",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
    }
)
_LISTED: Final = {
    "li": "- ",
    "h1": "# ",
    "h2": "## ",
    "h3": "### ",
    "h4": "#### ",
    "h5": "##### ",
    "h6": "###### ",
}
_DEPTH_MAX: Final = 10_000  # A page that nests deeper is no page; what is below is left out.


def page_text(page: str) -> str:
    """Give the title and the text; never raises, whatever the page is made of."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    """Collects text; a line per block."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._line: list[str] = []
        self._title: list[str] = []
        self._in_title = False
        self._unseen: list[str] = []  # The open elements from the first unseen one down, of the same name.
        self._kept_as_is = 0  # How many `pre` are open.

    def text(self) -> str:
        self._end_line()
        title = " ".join("".join(self._title).split())
        lines = ([title, ""] if title else []) + self._lines
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag == "title":
            self._in_title = not self._title
        elif self._unseen:
            if tag == self._unseen[0] and len(self._unseen) < _DEPTH_MAX:
                self._unseen.append(tag)
        elif tag in _UNSEEN:
            self._unseen.append(tag)
        elif tag in _BLOCKS:
            self._end_line()
            self._line += [_LISTED[tag]] if tag in _LISTED else []
            self._kept_as_is += tag == "pre"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif self._unseen:
            if tag == self._unseen[0]:
                self._unseen.pop()
        elif tag in _BLOCKS:
            self._end_line()
            if tag == "pre":
                self._kept_as_is = max(0, self._kept_as_is - 1)

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self._title.append(data)
        elif self._unseen:
            return
        elif self._kept_as_is:
            first, *rest = data.split("\n")
            self._line.append(first)
            for line in rest:
                self._end_line()
                self._line.append(line)
        else:
            self._line.append(re.sub(r"\s+", " ", data))

    def _end_line(self) -> None:
        line = "".join(self._line)
        line = line.rstrip() if self._kept_as_is else re.sub(" +", " ", line).strip()
        self._line.clear()
        if line.strip("-# ") or (self._kept_as_is and line):
            self._lines.append(line)
        elif self._lines and self._lines[-1]:
            self._lines.append("")
