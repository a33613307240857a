"""Where there is an interactive terminal, and where there is not."""

import subprocess
import sys

import pytest

from holdfast_client import terminal
from holdfast_client.shell import interactive
from holdfast_client.shell.exit_codes import NO_SESSION, CommandFailed
from holdfast_protocol.errors import NotFound


class Stream:
    def __init__(self, *, is_terminal: bool) -> None:
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def at(monkeypatch: pytest.MonkeyPatch, *, stdin: bool = True, stdout: bool = True) -> None:
    monkeypatch.setattr(sys, "stdin", Stream(is_terminal=stdin))
    monkeypatch.setattr(sys, "stdout", Stream(is_terminal=stdout))


def test_a_terminal_has_it(monkeypatch):
    at(monkeypatch)
    assert interactive.find({"TERM": "xterm"}) is not None


@pytest.mark.parametrize(("stdin", "stdout"), [(False, True), (True, False)])
def test_pipes_do_not_have_it(monkeypatch, stdin, stdout):
    at(monkeypatch, stdin=stdin, stdout=stdout)
    assert interactive.find({"TERM": "xterm"}) is None


@pytest.mark.parametrize("environ", [{}, {"TERM": ""}, {"TERM": "dumb"}])
def test_a_dumb_terminal_does_not_have_it(monkeypatch, environ):
    at(monkeypatch)
    assert interactive.find(environ) is None


def test_without_its_libraries_there_is_none(monkeypatch):
    at(monkeypatch)
    for name in [name for name in sys.modules if name.startswith("holdfast_client.terminal")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prompt_toolkit", None)
    monkeypatch.setitem(sys.modules, "prompt_toolkit.input", None)
    assert interactive.find({"TERM": "xterm"}) is None


def test_failures_of_tasks_are_told_as_the_shell_tells_them_but_bugs_are_not_hidden():
    refused = NotFound("No such session.", resource="session", id="s")
    told = terminal._first(ExceptionGroup("tasks", [ExceptionGroup("inner", [refused])]))
    assert isinstance(told, CommandFailed)
    assert (told.message, told.exit_code) == ("No such session.", NO_SESSION)
    both = ExceptionGroup("tasks", [refused, ZeroDivisionError()])
    assert terminal._first(both) is both


def test_the_shell_and_the_libraries_come_without_it():
    program = (
        "import sys, holdfast_client.shell.attach, holdfast_client.aio\n"
        "print(*(name for name in ('rich', 'prompt_toolkit') if name in sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.strip() == ""
