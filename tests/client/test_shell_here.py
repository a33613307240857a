"""Bare `holdfast`: this directory's session, at a terminal and elsewhere."""

import json
import os
import pty
from typing import Any

import pytest
from shell_world import Home

DUMB = {"TERM": "dumb"}
"""Without cursor movement there is no interactive terminal, so that what is shown can be read as lines."""


def sessions(home: Home) -> list[dict[str, Any]]:
    return json.loads(home.run("ps", "--json").stdout)["sessions"]


def at_terminal(home: Home, *arguments: str, until: str) -> str:
    """Run at a terminal until it shows a text, then leave; give what was shown."""
    master, slave = pty.openpty()
    client = home.start(*arguments, stdin=slave, stdout=slave, stderr=slave, env=DUMB)
    os.close(slave)
    shown = b""
    while until.encode() not in shown:
        shown += os.read(master, 65536)
    os.write(master, b"\x1d")
    assert client.wait(60) == 0
    os.close(master)
    return shown.decode()


def test_where_there_is_no_terminal_and_no_prompt_it_says_how_it_is_called(home: Home) -> None:
    ran = home.run()

    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("usage: holdfast")


def test_a_prompt_begins_a_session_and_the_next_goes_on_with_it(home: Home) -> None:
    first = home.run("say hello")
    second = home.run("say more")

    assert (first.returncode, second.returncode) == (0, 0)
    assert second.stdout == "more\n"
    assert [session["cwd"] for session in sessions(home)] == [str(home.path)]


def test_new_begins_another_session(home: Home) -> None:
    home.run("say hello")

    assert home.run("--new", "say more").returncode == 0
    assert len(sessions(home)) == 2


def test_another_directory_s_session_is_left_alone(home: Home) -> None:
    other = home.path / "other"
    other.mkdir()
    home.run("say hello")
    home.run("say hello", cwd=other)

    assert {session["cwd"] for session in sessions(home)} == {str(home.path), str(other)}


def test_a_single_word_is_a_command_and_no_prompt(home: Home) -> None:
    ran = home.run("stauts")

    assert ran.returncode == 2
    assert "did you mean status?" in ran.stderr
    assert home.status()["running"] is False


@pytest.mark.parametrize("arguments", [(), ("say hello",)])
def test_at_a_terminal_it_attaches_and_can_be_left(home: Home, arguments: tuple[str, ...]) -> None:
    until = "completed after" if arguments else "sandbox:"
    shown = at_terminal(home, *arguments, until=until)

    assert str(home.path) in shown
    assert len(sessions(home)) == 1


def test_at_a_terminal_it_joins_the_session_that_is_there(home: Home) -> None:
    home.run("say hello")
    shown = at_terminal(home, until="completed after")

    assert "hello" in shown
    assert len(sessions(home)) == 1


def test_what_is_piped_in_is_the_prompt(home: Home) -> None:
    ran = home.run(input="say from a pipe\n")

    assert ran.returncode == 0
    assert ran.stdout.rstrip().endswith("from a pipe")


@pytest.mark.parametrize("arguments", [("--color", "never", "ps"), ("--new", "status"), ("--new", "hello")])
def test_a_command_or_a_word_behind_an_option_is_not_sent_to_a_model(
    home: Home, arguments: tuple[str, ...]
) -> None:
    ran = home.run(*arguments)

    assert (ran.returncode, ran.stdout) == (2, "")
    assert arguments[-1] in ran.stderr
