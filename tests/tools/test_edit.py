"""The `edit` tool: one exact piece for another, in a file that is as it was seen."""

import stat
from pathlib import Path

import anyio
import pytest
from tool_calls import Workbench

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.tools.edit import EditInput, EditTool
from holdfast_daemon.tools.turns import Turns
from holdfast_protocol.events import Diff, Location


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


async def test_a_piece_is_replaced_and_the_result_says_where(bench: Workbench, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("one\ntwo\nthree\n")
    path.chmod(0o640)
    called = await bench.call("edit", path="a.py", old="two\nth", new="2\nTH")
    assert path.read_text() == "one\n2\nTHree\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert called.texts == ["edited a.py in 1 place: line 2."]
    assert called.outcome.diff == (
        Diff(path=str(path), old_text="one\ntwo\nthree\n", new_text="one\n2\nTHree\n"),
    )


async def test_a_piece_that_is_not_there_is_not_replaced(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\n")
    error = (await bench.call("edit", path="a", old="two", new="2")).error
    assert (error.kind, error.message) == ("not_in_file", "`old` does not stand in a")


@pytest.mark.parametrize(
    ("content", "old", "hint"),
    [
        ("one\r\ntwo\r\n", "one\ntwo", "the file's lines end with CR LF"),
        ("one\n", "  one", "without the blanks and line ends around it"),
    ],
)
async def test_a_piece_that_is_nearly_there_is_told_from_one_that_is_not(
    bench: Workbench, tmp_path: Path, content: str, old: str, hint: str
) -> None:
    (tmp_path / "a").write_bytes(content.encode())
    assert hint in (await bench.call("edit", path="a", old=old, new="x")).error.message


async def test_line_ends_are_left_as_they_are(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one\r\ntwo\r\nthree")
    await bench.call("edit", path="a", old="two", new="2")
    assert (tmp_path / "a").read_bytes() == b"one\r\n2\r\nthree"


async def test_a_piece_that_is_there_twice_is_replaced_only_on_demand(
    bench: Workbench, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("x = 1\ny = 1\nz = 2\nx = 1\n")
    error = (await bench.call("edit", path="a", old="= 1", new="= 3")).error
    assert error.kind == "not_unique"
    assert "stands in a 3 times, on lines 1, 2 and 4;" in error.message
    assert (tmp_path / "a").read_text() == "x = 1\ny = 1\nz = 2\nx = 1\n"
    called = await bench.call("edit", path="a", old="= 1", new="= 3", replace_all=True)
    assert called.texts == ["edited a in 3 places: lines 1, 2 and 4."]
    assert (tmp_path / "a").read_text() == "x = 3\ny = 3\nz = 2\nx = 3\n"


async def test_a_file_that_changed_since_it_was_read_is_not_edited(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one two")
    await bench.call("read", path="a")
    (tmp_path / "a").write_text("one and two")
    error = (await bench.call("edit", path="a", old="one", new="1")).error
    assert (error.kind, error.message) == ("stale", "a has changed since it was last read; read it again")
    assert (tmp_path / "a").read_text() == "one and two"
    await bench.call("read", path="a")
    assert (await bench.call("edit", path="a", old="one", new="1")).texts
    assert (await bench.call("edit", path="a", old="two", new="2")).texts
    assert (tmp_path / "a").read_text() == "1 and 2"


async def test_a_file_that_was_replaced_by_another_of_that_name_counts_as_changed(
    bench: Workbench, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("one")
    await bench.call("write", path="b", content="other one")
    await bench.call("read", path="a")
    (tmp_path / "b").rename(tmp_path / "a")
    assert (await bench.call("edit", path="a", old="one", new="1")).error.kind == "stale"


async def test_a_file_that_was_never_read_may_be_edited(bench: Workbench, tmp_path: Path) -> None:
    """The exact piece is proof enough that the model knows what stands there."""
    (tmp_path / "a").write_text("one")
    assert (await bench.call("edit", path="a", old="one", new="1")).texts


async def test_edits_at_once_of_one_file_are_all_kept(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("".join(f"<{n}>\n" for n in range(20)))
    await bench.call("read", path="a")
    async with anyio.create_task_group() as group:
        for n in range(20):
            group.start_soon(lambda n=n: bench.call("edit", path="a", old=f"<{n}>", new=f"[{n}]"))
    assert (tmp_path / "a").read_text() == "".join(f"[{n}]\n" for n in range(20))


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("missing", "not_found", "there is no file missing"),
        ("missing/x", "not_found", "there is no file missing/x"),
        ("latin", "not_text", "latin is not UTF-8 text"),
        ("binary", "not_text", "binary is a binary file"),
        ("folder", "not_text", "folder is a directory"),
        ("link", "symlink", "link is a symlink to file; name the file itself"),
        ("in/file", "symlink", "in/file leads through the symlink in; name the place itself"),
        ("twin", "hard_link", "twin is one of 2 hard links to a file; the others would not change"),
        ("../secret", "outside_roots", "../secret is outside the session's directories"),
        (".git/config", "protected", ".git/config is git's own; it is changed through git alone"),
    ],
)
async def test_what_cannot_be_edited_says_why(tmp_path: Path, path: str, kind: str, message: str) -> None:
    root = tmp_path / "root"
    for name in ("folder", ".git"):
        (root / name).mkdir(parents=True)
    for name in ("../secret", "file", "other", ".git/config", "folder/file"):
        (root / name).write_text("text")
    (root / "latin").write_bytes(b"text \xe9")
    (root / "binary").write_bytes(b"text \0")
    (root / "twin").hardlink_to(root / "other")
    (root / "link").symlink_to("file")
    (root / "in").symlink_to("folder")
    error = (await Workbench(root).call("edit", path=path, old="text", new="changed")).error
    assert (error.kind, error.message) == (kind, message)
    assert (tmp_path / "secret").read_text() == "text"


async def test_an_edit_that_changes_nothing_is_refused(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    assert (await bench.call("edit", path="a", old="one", new="one")).error.kind == "invalid_input"


async def test_a_file_of_just_as_many_bytes_as_one_may_have_is_edited_and_one_more_is_not(
    tmp_path: Path,
) -> None:
    bench = Workbench(tmp_path, limits=ExecutionLimits(file_bytes_max=10))
    (tmp_path / "a").write_text("a" * 10)
    assert (await bench.call("edit", path="a", old="a" * 10, new="b" * 10)).texts
    assert (await bench.call("edit", path="a", old="b" * 10, new="b" * 11)).error.kind == "too_large"
    assert (await bench.call("edit", path="a", old="b" * 10, new="ü" * 6)).error.kind == "too_large"
    assert (tmp_path / "a").read_text() == "b" * 10
    (tmp_path / "a").write_text("a" * 11)
    error = (await bench.another_session().call("edit", path="a", old="a" * 11, new="")).error
    assert (error.kind, error.message) == ("too_large", "a has or would have 11 bytes; a file may have 10")


async def test_a_diff_that_is_too_large_is_left_out(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, limits=ExecutionLimits(diff_bytes_max=20))
    (tmp_path / "a").write_text("x" * 9)
    called = await bench.call("edit", path="a", old="x" * 9, new="y" * 8)
    assert called.outcome.diff == ()
    assert called.outcome.truncated
    assert "[the diff is left out: it is too large]" in called.texts[0]
    assert len((await bench.call("edit", path="a", old="y" * 8, new="z" * 8)).outcome.diff) == 1


def test_a_call_names_its_file() -> None:
    tool = EditTool(ExecutionLimits(), Turns())
    asked = EditInput(path="../b", old="x", new="y")
    assert tool.kind == "edit"
    assert tool.title(asked) == "edit ../b"
    assert tool.locations(asked, "/w/a") == (Location(path="/w/b"),)
