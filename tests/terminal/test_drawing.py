"""Lines as wide as the terminal at most, whatever stands in them."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from holdfast_client.terminal.changes import Unread, change_of, of_write
from holdfast_client.terminal.drawing import DONE_DIFF_LINES_MAX, PROMPT_ROWS_MAX, PROPOSED_ROWS_MAX, Drawing
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
    lines = drawing.page([Asked("x\n" * (PROMPT_ROWS_MAX + 5))])
    assert lines[-1] == "  … 5 more lines"
    lines = drawing.page([Proposed("write a", change_of("a", "", "x\n" * 300))])
    assert lines[-1] == f"    … {301 - PROPOSED_ROWS_MAX} more lines; Ctrl-O shows them"
    lines = drawing.page([Proposed("write a", change_of("a", "", "x\n" * 3000))])
    assert lines[-1] == f"    … {3001 - PROPOSED_ROWS_MAX} more lines; Ctrl-O shows them"
    lines = drawing.page(
        [Called("x", "edit", "edit", 0, ended=True, changes=[change_of("a", "", "x\n" * 3000)])]
    )
    assert lines[-1] == f"    … {3001 - DONE_DIFF_LINES_MAX} more lines"


def test_a_prompt_of_one_long_line_is_cut_after_rows():
    lines = Drawing(80, styled=False).page([Asked("x" * 6000)])
    assert len(lines) == PROMPT_ROWS_MAX + 1
    assert lines[-1] == f"  … {-(-6000 // 78) - PROMPT_ROWS_MAX} more lines"


@settings(max_examples=60)
@given(st.integers(10, 90), st.integers(0, 300))
def test_nothing_of_a_proposal_is_cut_at_the_edge(width, blanks):
    line = "x = 1" + " " * blanks + "; os.system(世界)"
    drawing = Drawing(width, styled=False)
    for item in (
        Proposed("edit a", change_of("a", "", line + "\n", guessed=True)),
        Proposed("run", text="+" + line),
    ):
        rows = [row[4:].ljust(width - 4) for row in drawing.page([item])]
        assert "".join(rows).replace(" ", "").endswith(("+" + line).replace(" ", ""))


def test_a_further_row_of_a_proposal_does_not_look_like_a_line():
    rows = Drawing(14, styled=False).page([Proposed("run", text="123456789+now\n+now")])
    assert rows == ["  run", "    123456789+", "  … now", "    +now"]


def test_a_proposal_that_replaces_something_unseen_counts_nothing_removed():
    change = of_write("a", Unread(7, "it is no text"), "x\n")
    rows = Drawing(80, styled=False).page([Proposed("write a", change)])
    assert rows == ["  write a  +1 -?", "    \\ replaces 7 bytes not shown here: it is no text", "    +x"]


def test_the_parts_of_something_shown_whole_follow_each_other():
    parts = [Proposed("run", text="a\n", whole=True), Proposed("run", text="b", whole=True, continues=True)]
    assert Drawing(80, styled=False).page(parts) == ["  run", "    a", "", "    b"]


def test_thinking_unfolds():
    drawing = Drawing(80, styled=False)
    assert drawing.page([Thought("why\nnot", 0, 1500)]) == ["✻ Thought for 1.5 s"]
    drawing.unfolded = True
    assert drawing.page([Thought("why\nnot", 0, 1500)]) == ["✻ Thought for 1.5 s", "  why", "  not"]


def test_signs_can_be_ascii():
    lines = Drawing(80, styled=False, glyphs=ASCII).page([Called("run x", "shell", "execute", 0, "a\n" * 20)])
    assert "".join(lines).isascii()


def test_a_very_long_line_of_a_proposal_is_bounded_and_says_so():
    rows = Drawing(80, styled=False).page([Proposed("run", text="e\u0301" * 200_000)])
    assert len(rows) <= PROPOSED_ROWS_MAX + 2
    assert rows[-1] == "    … 1 more lines; Ctrl-O shows them"
