"""Lines as wide as the terminal at most, whatever stands in them."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from holdfast_client.terminal.changes import change_of
from holdfast_client.terminal.drawing import DIFF_LINES_MAX, PROMPT_LINES_MAX, Drawing
from holdfast_client.terminal.glyphs import ASCII
from holdfast_client.terminal.items import Asked, Called, Noted, Proposed, Said, Thought, Told

WORDS = st.text(alphabet="ab 世🎉\t-*`#|>\n1.", max_size=120)


@settings(max_examples=60)
@given(WORDS, st.integers(10, 90))
def test_no_line_is_wider_than_the_terminal(text, width):
    drawing = Drawing(width, styled=False)
    drawing.unfolded = True
    items = [
        Asked(text),
        Said(text),
        Thought(text, 0, 10),
        Called(text.replace("\n", " "), "x", "execute", 0, text, ended=True, failure=text.replace("\n", " ")),
        Proposed("edit", change_of("a", text, text[::-1])),
        Proposed("run", text=text),
        Told("/x", [text]),
        Noted(text.replace("\n", " ")),
    ]
    lines = drawing.page(items)
    assert [line for line in lines if cell_len(line) > width] == []
    assert [line for line in lines if "\n" in line or "\t" in line] == []


def test_no_line_ends_with_blanks_that_a_narrower_terminal_would_break():
    lines = Drawing(60, styled=False).page(
        [Said("# One\n\ntwo\n\n```\nthree\n```\n\n| a | b |\n|--|--|\n| 1 | 2 |")]
    )
    assert [line for line in lines if line != line.rstrip()] == []


def test_without_colour_there_is_bold_but_no_colour():
    lines = "\n".join(Drawing(60, color=False).page([Said("**bold** `code`"), Noted("bad", "error")]))
    assert "\x1b[1m" in lines
    assert not re.search(r"\x1b\[[\d;]*3\d", lines)


def test_links_show_where_they_lead_and_are_no_escape_sequences():
    line = Drawing(60).page([Said("[here](http://example.com/)")])[0]
    assert "http://example.com/" in line
    assert "\x1b]" not in line


def test_long_things_say_how_much_is_left_out():
    drawing = Drawing(80, styled=False)
    lines = drawing.page([Asked("x\n" * (PROMPT_LINES_MAX + 5))])
    assert lines[-1] == "  … 5 more lines"
    lines = drawing.page([Proposed("write a", change_of("a", "", "x\n" * 300))])
    assert lines[-1] == f"    … {301 - DIFF_LINES_MAX} more lines"


def test_thinking_unfolds():
    drawing = Drawing(80, styled=False)
    assert drawing.page([Thought("why\nnot", 0, 1500)]) == ["✻ Thought for 1.5 s"]
    drawing.unfolded = True
    assert drawing.page([Thought("why\nnot", 0, 1500)]) == ["✻ Thought for 1.5 s", "  why", "  not"]


def test_signs_can_be_ascii():
    lines = Drawing(80, styled=False, glyphs=ASCII).page([Called("run x", "shell", "execute", 0, "a\n" * 20)])
    assert "".join(lines).isascii()
