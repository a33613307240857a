"""Lines of a man page, in the `man` macros. Knows no commands."""

from collections.abc import Iterable, Iterator

from holdfast_client.shell.usage_text import Row


def text(plain: str) -> str:
    """Give text that roff prints as it reads."""
    escaped = plain.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("`", "\\`")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def section(title: str) -> Iterator[str]:
    """Begin a section."""
    yield f'.SH "{text(title)}"'


def subsection(title: str) -> Iterator[str]:
    """Begin a subsection."""
    yield f'.SS "{text(title)}"'


def paragraph(words: str) -> Iterator[str]:
    """Give a paragraph."""
    yield ".PP"
    yield text(words)


def way(call: str) -> Iterator[str]:
    """Give one way to call a command, the program's name and the command's in bold."""
    words = call.split(" ")
    bold = 2 if len(words) > 1 and words[1].isalpha() and words[1].islower() else 1
    yield ".PP"
    yield f"\\fB{text(' '.join(words[:bold]))}\\fR {text(' '.join(words[bold:]))}".rstrip()


def table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Give terms with their meanings."""
    for term, meaning in rows:
        yield ".TP"
        yield f"\\fB{text(term)}\\fR"
        yield text(meaning) or "\\&"


def parts(items: Iterable[str | list[Row]]) -> Iterator[str]:
    """Give the paragraphs and tables of a help text."""
    for item in items:
        if isinstance(item, str):
            yield from paragraph(item)
        else:
            yield from table(item)
