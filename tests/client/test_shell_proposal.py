"""What a person sees before they allow something: the whole of it. Pure, then against the real daemon."""

import os
from pathlib import Path
from typing import Any

import pytest
from shell_world import Home
from test_shell_attach import Terminal

from holdfast_client.shell import proposal
from holdfast_client.shell.proposal import Old

TWO_LINES = 'script:\n  - call: {tool: shell, input: {command: "echo a\\ntouch b.txt"}}\n'
EDIT = """\
script:
  - call: {tool: read, input: {path: a.txt}}
  - call: {tool: edit, input: {path: a.txt, old: two, new: three}}
"""


def request(tool: str, title: str = "t", match: str | None = None, **fields: Any) -> dict[str, Any]:
    detail = {"tool": tool, "input": fields, "match": match, "locations": [{"path": "/srv/f"}]}
    return {"kind": "permission", "title": title, "detail": detail}


def write(content: str, before: Old) -> list[str]:
    return proposal.lines(request("write", path="f", content=content), lambda _: before)


def edit(old: str, new: str, before: str | None, **fields: Any) -> list[str]:
    asked = request("edit", path="f", old=old, new=new, **fields)
    return proposal.lines(asked, lambda _: Old(before, len(before or "")))


# Commands and other input ---------------------------------------------------------------------------------


def test_every_line_of_a_command_is_shown() -> None:
    asked = request("shell", "run echo a …", "echo a\nrm b", command="echo a\nrm b")

    assert proposal.lines(asked) == ["echo a", "rm b"]


def test_a_command_that_its_title_shows_whole_is_not_shown_twice() -> None:
    assert proposal.lines(request("shell", "run ls", "ls", command="ls")) == []


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("\r", "<CR>"),
        ("\x1b[8m", "<ESC>[8m"),
        ("\u202e", "<U+202E>"),
        ("\u200b", "<U+200B>"),
        ("\ufeff", "<U+FEFF>"),
        ("\u2028", "<U+2028>"),
        ("\u3164", "<U+3164>"),
        ("\u2800", "<U+2800>"),
        ("\ue000", "<U+E000>"),
        ("\U000e0041", "<U+E0041>"),
    ],
)
def test_what_a_terminal_would_not_show_is_written_out(hidden: str, shown: str) -> None:
    command = f"ls{hidden}; id"

    assert proposal.lines(request("shell", f"run {command}", command, command=command)) == [f"ls{shown}; id"]
    assert write(f"{command}\n", Old(None, None))[-1] == f"+ls{shown}; id"


def test_what_comes_with_a_command_is_shown_too() -> None:
    asked = request("shell", "run ls", "ls", command="ls", cwd="/etc")

    assert proposal.lines(asked) == ["ls", 'cwd: "/etc"']


def test_the_input_of_another_tool_is_shown_as_it_is() -> None:
    assert proposal.lines(request("remote", "call remote", target="x\ny")) == ["{", ' "target": "x\\ny"', "}"]


def test_a_proposal_is_bounded_and_says_where_the_rest_is() -> None:
    command = "\n".join("x" * (proposal.LINES_MAX + 7))
    *shown, last = proposal.lines(request("shell", "run x …", command, command=command))

    assert len(shown) == proposal.LINES_MAX
    assert last == "… 7 more lines: `holdfast approvals --json` has them"


# Changes --------------------------------------------------------------------------------------------------


def test_a_change_is_compared_with_the_whole_file() -> None:
    assert edit("two", "three", "one\ntwo\n") == ["@@ -1,2 +1,2 @@", " one", "-two", "+three"]


def test_a_replacement_everywhere_shows_each_place() -> None:
    assert edit("a", "b", "a\na\n", replace_all=True) == ["@@ -1,2 +1,2 @@", "-a", "-a", "+b", "+b"]


@pytest.mark.parametrize("before", [None, "other\n"])
def test_where_the_file_cannot_be_compared_the_pieces_are_and_it_says_so(before: str | None) -> None:
    told, *lines = edit("two", "three", before)

    assert "the pieces alone" in told
    assert [line for line in lines if line.startswith(("+", "-"))] == ["-two", "+three"]


def test_a_change_of_line_ends_shows() -> None:
    assert write("one\r\n", Old("one\n", 4)) == ["@@ -1 +1 @@", "-one", "+one<CR>"]


def test_a_line_that_loses_its_end_shows() -> None:
    assert write("one", Old("one\n", 4)) == ["@@ -1 +1 @@", "-one", "+one", "\\ no newline at its end"]


def test_lines_end_at_newlines_alone() -> None:
    assert write("a\x0bb\u2028c\n", Old(None, None))[2:] == ["+a<U+000B>b<U+2028>c"]


def test_a_new_file_says_so() -> None:
    assert write("one\n", Old(None, None)) == ["(a new file)", "@@ -0,0 +1 @@", "+one"]


def test_a_file_that_changes_in_nothing_says_so() -> None:
    assert write("one\n", Old("one\n", 4)) == ["(it changes nothing)"]


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"x" * (proposal.FILE_BYTES_MAX + 1)])
def test_a_file_that_cannot_be_shown_is_not_taken_for_a_new_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    asked = request("write", path="f", content="gone\n")
    asked["detail"]["locations"] = [{"path": str(path)}]

    assert proposal.lines(asked)[0] == f"(replaces a file of {len(content)} bytes that are not shown)"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert proposal.read_file(str(tmp_path / "pipe")) == Old(None, 0)


# With the real daemon -------------------------------------------------------------------------------------


def asked(home: Home, prompt: str) -> str:
    (home.path / "a.txt").write_text("one\ntwo\n")
    home.run("run", prompt)
    return home.run("approvals").stdout.splitlines()[1].split()[0]


@pytest.mark.parametrize(
    ("prompt", "whole"),
    [
        (TWO_LINES, "    echo a\n    touch b.txt\n"),
        (EDIT, "    @@ -1,2 +1,2 @@\n     one\n    -two\n    +three\n"),
    ],
)
def test_the_whole_of_a_request_is_listed_and_shown_when_it_is_approved(
    home: Home, prompt: str, whole: str
) -> None:
    name = asked(home, prompt)

    assert whole in home.run("approvals", "-v").stdout
    assert whole in home.run("approvals", name).stdout
    assert whole not in home.run("approvals").stdout
    assert home.run("approve", name).stderr == whole


def test_a_run_without_a_person_says_the_whole_of_what_it_needs_leave_for(home: Home) -> None:
    said = home.run("run", TWO_LINES).stderr

    assert "    echo a\n    touch b.txt\n? run echo a" in said


def test_a_plan_is_shown_whole_with_the_options_that_answer_it(home: Home) -> None:
    home.run("run", "--mode", "plan", "say First this.\nThen that.")
    whole = home.run("approvals", "-v").stdout

    assert "    Then that.\n" in whole
    assert "  keep_planning  " in whole


def test_nothing_to_show_is_no_error(home: Home) -> None:
    home.run("run", "say hello")

    assert home.run("approvals", "-v").stdout == "nothing waits for an answer\n"


def test_who_attaches_sees_the_whole_of_what_is_asked_now(home: Home) -> None:
    name = asked(home, EDIT)
    with Terminal(home, "attach", "--plain", name.partition("/")[0]) as terminal:
        terminal.see("    -two\r\n    +three\r\n")
        terminal.see("? edit a.txt")
        terminal.leave()
