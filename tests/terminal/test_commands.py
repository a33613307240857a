"""Slash commands, completion and history."""

import json

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from holdfast_client.terminal import commands, history
from holdfast_client.terminal.commands import Line
from holdfast_client.terminal.completion import PATHS_MAX, TerminalCompleter, paths, without_marks
from holdfast_client.terminal.history import BoundedHistory


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("/help", Line("help", "")),
        ("  /model  some/model ", Line("model", "some/model")),
        ("/steer say\ntwo lines", Line("steer", "say\ntwo lines")),
        ("/nonsense", Line("nonsense", "")),
        ("/etc/hosts is odd", None),
        ("//", None),
        ("say /help", None),
    ],
)
def test_a_line_is_a_command_or_a_prompt(text, line):
    assert commands.parse(text) == line


def test_help_names_every_command_and_fits_80_columns():
    lines = commands.help_lines()
    assert max(map(len, lines)) <= 78
    assert all(any(line.startswith(f"/{name} ") for line in lines) for name in commands.NAMES)


def completed(text: str, cwd: str = "/", values: dict[str, list[str]] | None = None) -> list[str]:
    completer = TerminalCompleter(lambda: cwd, lambda kind: (values or {})[kind])
    return [found.text for found in completer.get_completions(Document(text), CompleteEvent())]


def test_commands_and_their_arguments_are_completed():
    assert completed("/mo") == ["/model", "/mode"]
    assert completed("/mode") == ["/mode", "/model"]
    assert completed("/mode a", values={"modes": ["ask", "plan", "auto"]}) == ["ask", "auto"]
    assert completed("/help a") == []
    assert completed("a /mo") == []


def test_paths_are_completed_after_an_at_sign(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").touch()
    (tmp_path / "setup.py").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "two words").touch()
    (tmp_path / "bad\x1bname").touch()
    cwd = str(tmp_path)
    assert completed("read @s", cwd) == ["setup.py", "src/"]
    assert completed("read @src/", cwd) == ["src/a.py"]
    assert completed("@", cwd) == ["setup.py", "src/"]
    assert completed("@.h", cwd) == [".hidden"]
    assert completed("me@s", cwd) == []
    assert paths(cwd, "nowhere/") == []


def test_completed_paths_are_bounded(tmp_path):
    for number in range(PATHS_MAX + 10):
        (tmp_path / f"f{number}").touch()
    assert len(paths(str(tmp_path), "")) == PATHS_MAX


def test_paths_that_exist_lose_their_at_sign(tmp_path):
    (tmp_path / "a.py").touch()
    cwd = str(tmp_path)
    assert without_marks("read @a.py, then @b.py and me@a.py", cwd) == "read a.py, then @b.py and me@a.py"
    assert without_marks("@a.py", cwd) == "a.py"
    assert without_marks("@a\0b", cwd) == "@a\0b"


def test_history_is_kept_bounded_and_private(tmp_path):
    path = tmp_path / "state" / "history"
    kept = BoundedHistory(path)
    kept.store_string("one\nline")
    kept.store_string("x" * (history.ENTRY_CHARS_MAX + 1))
    kept.store_string("世界")
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(BoundedHistory(path).load_history_strings()) == ["世界", "one\nline"]


def test_a_long_history_is_rewritten_with_its_last_entries(tmp_path):
    path = tmp_path / "history"
    path.write_text("".join(f"{json.dumps(f'p{number}')}\n" for number in range(5 * history.ENTRIES_MAX)))
    entries = list(BoundedHistory(path).load_history_strings())
    assert len(entries) == history.ENTRIES_MAX
    assert entries[0] == f"p{5 * history.ENTRIES_MAX - 1}"
    assert len(path.read_text().splitlines()) == history.ENTRIES_MAX


def test_a_history_that_is_broken_or_cannot_be_written_is_done_without(tmp_path):
    path = tmp_path / "history"
    path.write_bytes(b'\xff\xfe\n{"a": 1}\n"good"\n"cut')
    assert list(BoundedHistory(path).load_history_strings()) == ["good"]
    nowhere = BoundedHistory(path / "below a file")
    nowhere.store_string("x")
    assert list(nowhere.load_history_strings()) == []
