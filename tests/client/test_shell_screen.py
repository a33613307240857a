"""Panes, colours, and what is left out of text from elsewhere."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_client.shell.plain import one_line, plain
from holdfast_client.shell.screen import Line, Pane, open_screen, wants_color


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "mode", "environ", "wanted"),
    [
        (Terminal(), "auto", {"TERM": "xterm"}, True),
        (Terminal(), "auto", {"TERM": "dumb"}, False),
        (Terminal(), "auto", {}, False),
        (Terminal(), "auto", {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Terminal(), "auto", {"TERM": "xterm", "NO_COLOR": ""}, True),
        (io.StringIO(), "auto", {"TERM": "xterm"}, False),
        (io.StringIO(), "auto", {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), "auto", {"CLICOLOR_FORCE": "1"}, True),
        (io.StringIO(), "auto", {"FORCE_COLOR": "0"}, False),
        (io.StringIO(), "auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (io.StringIO(), "always", {"NO_COLOR": "1"}, True),
        (Terminal(), "never", {"TERM": "xterm", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_is_decided_by_option_environment_and_terminal(
    stream: io.StringIO, mode: str, environ: dict[str, str], wanted: bool
) -> None:
    assert wants_color(stream, mode, environ) is wanted


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("a\rb\x00c\x7fd", "abcd"),
        ("\x9b31mC1", "31mC1"),
        ("tab\tand\nnewline", "tab\tand\nnewline"),
        ("user\u202etxt.exe", "usertxt.exe"),
        ("grüße 漢字", "grüße 漢字"),
    ],
)
def test_what_a_terminal_would_act_on_is_left_out(given_text: str, shown: str) -> None:
    assert plain(given_text) == shown


@given(st.text())
def test_no_control_character_is_ever_shown(text: str) -> None:
    assert not [
        character
        for character in plain(text)
        if (ord(character) < 32 and character not in "\n\t") or 127 <= ord(character) < 160
    ]


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_a_line_is_one_line_of_bounded_length(text: str, length_max: int) -> None:
    line = one_line(text, length_max)

    assert len(line) <= length_max
    assert line.splitlines() in ([], [line])


def pane(stream: io.StringIO, *, moves: bool = False) -> Pane:
    return Pane(stream, Line(), color=False, moves=moves)


def test_a_line_begins_fresh_after_unfinished_text() -> None:
    stream = io.StringIO()
    shown = pane(stream)
    shown.write("streaming")
    shown.line("a line")
    shown.fresh_line()

    assert stream.getvalue() == "streaming\na line\n"


def test_a_passing_line_is_wiped_by_what_follows() -> None:
    stream = Terminal()
    shown = pane(stream, moves=True)
    shown.passing("... working")
    shown.line("done")

    assert stream.getvalue() == "... working\r\x1b[Kdone\n"


def test_a_passing_line_is_not_shown_where_it_could_not_be_wiped() -> None:
    stream = io.StringIO()
    pane(stream).passing("... working")

    assert stream.getvalue() == ""


def test_a_passing_line_fits_into_one_line_of_the_terminal() -> None:
    stream = Terminal()
    pane(stream, moves=True).passing("x" * 500 + "\n")

    assert stream.getvalue() == "x" * 79


def test_two_streams_that_end_apart_have_pens_of_their_own() -> None:
    out, err = io.StringIO(), io.StringIO()
    screen = open_screen(out, err, "auto", {}, activity_is_data=False)
    screen.text.write("no newline")
    screen.activity.line("a tool call")

    assert (out.getvalue(), err.getvalue()) == ("no newline", "a tool call\n")


def test_activity_is_data_where_a_session_is_followed() -> None:
    out, err = io.StringIO(), io.StringIO()
    screen = open_screen(out, err, "auto", {}, activity_is_data=True)
    screen.activity.line("a tool call")
    screen.notes.line("an error")

    assert (out.getvalue(), err.getvalue()) == ("a tool call\n", "an error\n")


def test_two_streams_into_one_file_keep_their_order(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("screen") / "both"
    with path.open("a") as out, path.open("a") as err:
        screen = open_screen(out, err, "auto", {}, activity_is_data=False)
        screen.text.write("half a line")
        screen.notes.line("a note")
        screen.text.line("the end")
        screen.flush()

    assert path.read_text() == "half a line\na note\nthe end\n"
