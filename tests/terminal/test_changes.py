"""Diffs before and after an edit."""

import os

import pytest
from told import request

from holdfast_client.terminal import changes
from holdfast_client.terminal.proposals import TEXT_CHARS_MAX, proposal_of
from holdfast_protocol import events


def edit(text: str | None, **fields: object) -> "changes.Change":
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


def test_a_file_is_read_within_bounds_and_never_waited_for(tmp_path):
    path = tmp_path / "a"
    path.write_text("text")
    assert changes.read_text(str(path)) == "text"
    path.write_bytes(b"\xff\xfe")
    assert changes.read_text(str(path)) is None
    path.write_bytes(b"x" * (changes.FILE_BYTES_MAX + 1))
    assert changes.read_text(str(path)) is None
    os.mkfifo(tmp_path / "fifo")
    assert changes.read_text(str(tmp_path / "fifo")) is None
    assert changes.read_text(str(tmp_path)) is None
    assert changes.read_text("a\0b") is None
