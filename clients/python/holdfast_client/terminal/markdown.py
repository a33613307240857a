"""Markdown for a terminal: rich's, with headings that stay left and links that show where they lead."""

from typing import Any, ClassVar, Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Heading, Markdown, MarkdownElement
from rich.text import Text

CODE_THEME: Final = "ansi_dark"
"""Colours of the terminal's own palette: they fit dark and light backgrounds alike."""


class _Heading(Heading):
    """A heading as a bold line."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console, options
        marks = "#" * int(self.tag[1:])
        yield Text.assemble((f"{marks} ", "dim"), self.text, style="bold")


class TerminalMarkdown(Markdown):
    """One or more whole blocks."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {**Markdown.elements, "heading_open": _Heading}

    def __init__(self, markup: str, **options: Any) -> None:
        super().__init__(markup, code_theme=CODE_THEME, hyperlinks=False, **options)
