"""Diffs before and after an edit."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from told import request

from holdfast_client.shell.plain import plain
from holdfast_client.terminal import changes
from holdfast_client.terminal.proposals import TEXT_CHARS_MAX, proposal_of, whole_of
from holdfast_protocol import events


def edit(text: "str | changes.Unread | None", **fields: object) -> "changes.Change":
    found = proposal_of(
        request("edit a.py", "edit", input={"path": "a.py", **fields}), "/p", {"/p/a.py": text}.get
    )
    assert found is not None
    assert found.change is not None
    return found.change


def test_an_edit_is_compared_with_the_file():
    change = edit("one\ntwo\nthree\n", old="two", new="2")
    assert change.lines == ["@@ -1,3 +1,3 @@", " one", "-two", "+2", " three"]
    assert (change.added, change.removed, change.guessed) == (1, 1, False)


def test_an_edit_everywhere_is_shown_everywhere():
    assert edit("a\nb\na\n", old="a", new="c", replace_all=True).removed == 2
    assert edit("a\nb\na\n", old="a", new="c").removed == 1


@pytest.mark.parametrize("text", [None, "something else\n"])
def test_where_the_file_cannot_tell_the_pieces_are_compared(text):
    change = edit(text, old="two", new="2")
    assert change.guessed
    assert change.lines[-2:] == ["-two", "+2"]


def test_a_new_file_is_all_added():
    found = proposal_of(request("write b", "write", input={"path": "b", "content": "x\ny\n"}), "/p", {}.get)
    assert found is not None
    assert found.change is not None
    assert (found.change.added, found.change.removed) == (2, 0)


def test_a_long_diff_is_bounded_but_counted():
    change = changes.change_of("a", "", "x\n" * 5000)
    assert change.added == 5000
    assert len(change.lines) == changes.LINES_MAX
    assert change.more == 5001 - changes.LINES_MAX


def test_another_call_is_shown_as_its_input():
    found = proposal_of(request("publish", "publish", input={"to": "everyone"}), "/p", {}.get)
    assert found is not None
    assert '"to": "everyone"' in found.text


def test_a_very_long_command_says_how_much_is_left_out():
    found = proposal_of(request("run x …", match="y" * (TEXT_CHARS_MAX + 5)), "/p", {}.get)
    assert found is not None
    assert found.text.endswith("\n… 5 more characters")


@pytest.mark.parametrize("detail", [None, [], "x", {"input": 3}, {"tool": "edit", "input": {"path": 3}}])
def test_a_request_of_any_shape_is_survived(detail):
    asked = events.RequestOpened(request_id="r", kind="permission", title="t", detail=detail, options=())
    found = proposal_of(asked, "/p", {}.get)
    assert found is None or found.change is None


def write(old: "str | changes.Unread | None", new: str, path: str = "a.py") -> "changes.Change":
    asked = request("write a.py", "write", input={"path": path, "content": new})
    found = proposal_of(asked, "/p", lambda _path: old)
    assert found is not None
    assert found.change is not None
    return found.change


@pytest.mark.parametrize(
    ("unread", "said"),
    [
        (
            changes.Unread(1_500_000, "it is too large"),
            "replaces 1,500,000 bytes not shown here: it is too large",
        ),
        (
            changes.Unread(None, "it is no regular file"),
            "replaces a file not shown here: it is no regular file",
        ),
    ],
)
def test_a_file_that_cannot_be_compared_is_not_shown_as_a_new_one(unread, said):
    change = write(unread, "gone\n")
    assert change.lines[0] == f"\\ {said}"
    assert change.lines[-1] == "+gone"
    assert change.removed is None
    assert change.guessed


def test_an_edit_of_a_file_that_cannot_be_compared_says_so():
    change = edit(changes.Unread(9, "it is no text"), old="two", new="2")
    assert change.lines[0] == "\\ the file is not compared (it is no text): only the piece is shown"


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("a\n", "a\r\n", ["-a", "+a<CR>"]),
        ("a\nb\n", "a\rb\n", ["-a", "-b", "+a<CR>b"]),
        ("one\n", "one\x1b[8m\n", ["-one", "+one<ESC>[8m"]),
        ("one\n", "one\u200b\n", ["-one", "+one<U+200B>"]),
        ("a\u2028b\n", "a\x0bb\n", ["-a<U+2028>b", "+a<U+000B>b"]),
        ("one", "one\n", ["-one", "\\ no line end here", "+one"]),
    ],
)
def test_what_nobody_would_see_is_named(old, new, shown):
    change = write(old, new)
    assert [line for line in change.lines if line[0] in "+-"] == [line for line in shown if line[0] in "+-"]
    assert set(shown) <= set(change.lines)
    assert change.lines[0].startswith("\\ ")  # It is said that there is something.


@pytest.mark.parametrize(("old", "new"), [("\tx\n", "    x\n"), ("x\n", "x \n"), ("x\n", "x\r\n")])
def test_a_change_of_blanks_alone_is_said(old, new):
    assert "\\ some lines differ in blanks or line ends alone" in write(old, new).lines


def test_lines_that_all_end_alike_are_not_cluttered():
    change = write("a\r\nb\r\n", "a\r\nc\r\n")
    assert change.lines == ["\\ its lines end with CR LF", "@@ -1,2 +1,2 @@", " a", "-b", "+c"]


@given(st.text("ab \t\r\n\x0b\x1c\x85\u2028\u200b", max_size=30), st.text("ab \t\r\n\x0b\u2028", max_size=30))
def test_texts_that_differ_never_look_the_same(old, new):
    change = write(old, new)
    assert bool(change.added or change.removed) == (old != new)
    assert bool(change.lines) >= (old != new)
    assert not [line for line in change.lines if set(line) & set("\r\n\x0b\x1c\x85\u2028\u200b")]


@given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("abc"), max_size=30))
def test_the_hunks_are_those_of_a_unified_diff(old, new):
    before, after = [f"{line}\n" for line in old], [f"{line}\n" for line in new]
    change = write("".join(before), "".join(after))
    got = [line for line in change.lines if not line.startswith("\\")]
    assert applied(before, got) == after


def applied(before: list[str], diff: list[str]) -> list[str]:
    """Do to some lines what a diff says."""
    made: list[str] = []
    at = 0
    for line in diff:
        if line.startswith("@@"):
            numbers = line.split()[1][1:].split(",")
            start = int(numbers[0]) - (numbers[1:] != ["0"])
            made += before[at:start]
            at = start
        elif line.startswith("+"):
            made.append(line[1:] + "\n")
        else:
            assert before[at] == line[1:] + "\n"
            made += [before[at]] if line.startswith(" ") else []
            at += 1
    return made + before[at:]


def test_a_change_at_the_end_of_a_very_long_file_is_seen():
    text = "".join(f"{number}\n" for number in range(60_000))
    assert write(text, text + "more\n").lines[-1] == "+more"
    assert write(text, "first\n" + text.replace("\n", ";\n")).removed == 60_000


def test_a_path_that_the_title_may_not_show_is_shown_whole():
    path = "d/" * 60 + "a.py"
    assert write("", "x\n", path).lines[0] == f"\\ the file: {path}"
    assert write("", "x\n", "a\u202ey").lines[0] == "\\ the file: a<U+202E>y"


def test_all_of_a_long_change_or_command_is_there_for_who_wants_it():
    text = "".join(f"{number}\n" for number in range(5000))
    asked = request("write a", "write", input={"path": "a", "content": text})
    parts = list(whole_of(asked, "/p", {}.get))
    lines = [line for part in parts if part.change is not None for line in part.change.lines]
    assert lines[1:] == [f"+{number}" for number in range(5000)]
    asked = request("run x …", match=text)
    assert "\n".join(part.text for part in whole_of(asked, "/p", {}.get)) == text
    assert [part.continues for part in parts[:3]] == [False, True, True]


def test_characters_that_a_command_hides_are_named():
    found = proposal_of(request("run rm x", match="rm\u200b x\u00a0y\U000e0041"), "/p", {}.get)
    assert found is not None
    assert (found.text, found.hides) == ("rm<U+200B> x<U+00A0>y<U+E0041>", True)


@pytest.mark.parametrize("hidden", "\u200b\u2060\ufeff\u061c\u00ad\U000e0001\U000e007f\u3164")
def test_characters_without_a_look_are_not_shown_elsewhere(hidden):
    assert plain(f"a{hidden}b") == "ab"


def test_what_joins_letters_is_left_in_prose():
    assert plain("\u0645\u06cc\u200c\u062e 👩\u200d💻") == "\u0645\u06cc\u200c\u062e 👩\u200d💻"


def test_a_file_is_read_within_bounds_and_never_waited_for(tmp_path):
    path = tmp_path / "a"
    assert changes.read_text(str(path)) is None
    path.write_bytes(b"text\r\n")
    assert changes.read_text(str(path)) == "text\r\n"
    path.write_bytes(b"\xff\xfe")
    assert changes.read_text(str(path)) == changes.Unread(2, "it is no text")
    size = changes.FILE_BYTES_MAX + 1
    path.write_bytes(b"x" * size)
    assert changes.read_text(str(path)) == changes.Unread(size, "it is too large")
    os.mkfifo(tmp_path / "fifo")
    for strange in (tmp_path / "fifo", tmp_path, "a\0b", "x" * 300):
        assert isinstance(changes.read_text(str(strange)), changes.Unread)
