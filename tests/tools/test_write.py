"""The `write` tool: whole files, in one step, inside the roots."""

import os
import stat
from pathlib import Path

import anyio
import pytest
from tool_calls import Workbench

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.confined_paths import ConfinedPaths
from holdfast_daemon.tools.base import ToolFailure
from holdfast_daemon.tools.file_change import read_existing, replace_file
from holdfast_daemon.tools.turns import Turns
from holdfast_daemon.tools.write import WriteInput, WriteTool
from holdfast_protocol.events import Diff, Location


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


async def test_a_file_is_created_and_the_result_says_so(bench: Workbench, tmp_path: Path) -> None:
    called = await bench.call("write", path="a.txt", content="one\ntwo ü\n")
    assert (tmp_path / "a.txt").read_text() == "one\ntwo ü\n"
    assert called.texts == ["created a.txt: 2 lines, 11 bytes."]
    assert called.outcome.diff == (Diff(path=str(tmp_path / "a.txt"), new_text="one\ntwo ü\n"),)
    assert called.outcome.truncated is False


async def test_a_new_file_has_the_mode_the_umask_leaves(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    await bench.call("write", path="a.txt", content="")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "usual").stat().st_mode


async def test_missing_directories_are_made_and_named(bench: Workbench, tmp_path: Path) -> None:
    called = await bench.call("write", path="a/b/c.txt", content="x")
    assert (tmp_path / "a/b/c.txt").read_text() == "x"
    assert called.texts == ["created a/b/c.txt: 1 line, 1 byte. Made a/, a/b/."]


async def test_a_file_is_replaced_with_its_mode_kept(bench: Workbench, tmp_path: Path) -> None:
    path = tmp_path / "run.sh"
    path.write_text("old\n")
    path.chmod(0o751)
    called = await bench.call("write", path="run.sh", content="new\n")
    assert path.read_text() == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o751
    assert called.texts == ["replaced run.sh: 1 line, 4 bytes."]
    assert called.outcome.diff == (Diff(path=str(path), old_text="old\n", new_text="new\n"),)


async def test_set_id_bits_are_not_kept(bench: Workbench, tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("old")
    path.chmod(0o4755)
    await bench.call("write", path="run", content="new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
async def test_the_owner_is_kept(bench: Workbench, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    os.chown(path, 1234, 2345)
    await bench.call("write", path="a.txt", content="new")
    assert (path.read_text(), path.stat().st_uid, path.stat().st_gid) == ("new", 1234, 2345)


async def test_who_has_the_old_file_open_keeps_the_old_content(bench: Workbench, tmp_path: Path) -> None:
    """The file is replaced, not rewritten: nobody ever reads a part of it."""
    (tmp_path / "a.txt").write_text("old")
    with (tmp_path / "a.txt").open() as file:
        await bench.call("write", path="a.txt", content="new")
        assert file.read() == "old"
    assert state_of(tmp_path) == {"a.txt": "new"}


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("../x", "outside_roots", "../x is outside the session's directories"),
        ("/etc/x", "outside_roots", "/etc/x is outside the session's directories"),
        ("out/x", "symlink", "out/x leads through the symlink out; name the place itself"),
        ("in/x", "symlink", "in/x leads through the symlink in; name the place itself"),
        ("link", "symlink", "link is a symlink to file; name the file itself"),
        ("link_out", "symlink", "link_out is a symlink to ../secret; name the file itself"),
        ("dangling", "symlink", "dangling is a symlink to ../new; name the file itself"),
        ("twin", "hard_link", "twin is one of 2 hard links to a file; the others would not change"),
        (".git/hooks/pre-commit", "protected", None),
        ("folder", "not_text", "folder is a directory"),
        (".", "not_text", ". is a directory"),
        ("fifo", "not_text", "fifo is not a regular file"),
        ("file/x", "not_found", "a directory on the way to file/x is a file"),
        ("x" * 300, "tool_failed", f"{'x' * 300} cannot be written: File name too long"),
        ("a\0b", "invalid_input", "a path cannot hold a NUL character"),
    ],
)
async def test_what_cannot_be_written_says_why_and_nothing_changes(
    tmp_path: Path, path: str, kind: str, message: str | None
) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (root / "file").write_text("file")
    (root / "other").write_text("other")
    (root / "twin").hardlink_to(root / "other")
    (root / "out").symlink_to("..")
    (root / "in").symlink_to("folder")
    (root / "link").symlink_to("file")
    (root / "link_out").symlink_to("../secret")
    (root / "dangling").symlink_to("../new")
    os.mkfifo(root / "fifo")
    before = state_of(tmp_path)
    error = (await Workbench(root).call("write", path=path, content="changed")).error
    assert error.kind == kind
    assert message is None or error.message == message
    assert state_of(tmp_path) == before


def state_of(top: Path) -> dict[str, str]:
    """Give every file's content, and every other entry's type."""
    return {
        str(path.relative_to(top)): path.read_text()
        if path.is_file() and not path.is_symlink()
        else str(stat.S_IFMT(path.lstat().st_mode))
        for path in top.rglob("*")
    }


async def test_a_further_root_is_written_by_its_path(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    bench = Workbench(tmp_path / "one", roots=(tmp_path / "two",))
    await bench.call("write", path=str(tmp_path / "two/x"), content="x")
    await bench.call("write", path="../two/y", content="y")
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["x", "y"]
    assert (await bench.call("write", path="../three/x", content="x")).error.kind == "outside_roots"


async def test_a_file_that_changed_since_it_was_read_is_not_replaced(
    bench: Workbench, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("one")
    await bench.call("read", path="a.txt")
    (tmp_path / "a.txt").write_text("two")
    error = (await bench.call("write", path="a.txt", content="three")).error
    assert (error.kind, error.message) == ("stale", "a.txt has changed since it was last read; read it again")
    assert (tmp_path / "a.txt").read_text() == "two"
    await bench.call("read", path="a.txt")
    assert (await bench.call("write", path="./a.txt", content="three")).texts
    assert (await bench.call("write", path="a.txt", content="four")).texts  # Its own change is no surprise.


async def test_what_one_session_has_read_is_not_known_in_another(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    other = bench.another_session()
    await bench.call("read", path="a.txt")
    await other.call("write", path="a.txt", content="two")
    assert (await bench.call("write", path="a.txt", content="three")).error.kind == "stale"


@pytest.mark.parametrize("before", [None, "one"])
def test_a_file_that_changes_in_the_last_moment_is_not_replaced(tmp_path: Path, before: str | None) -> None:
    def somebody_is_faster() -> None:
        (tmp_path / "a.txt").write_text("faster")

    if before is not None:
        (tmp_path / "a.txt").write_text(before)
    with ConfinedPaths(str(tmp_path), (str(tmp_path),)).place("a.txt") as place:
        existing = read_existing(place, "a.txt", 100)
        with pytest.raises(ToolFailure, match="in this very moment") as refused:
            replace_file(place, "a.txt", b"mine", existing, somebody_is_faster)
    assert refused.value.kind == "stale"
    assert state_of(tmp_path) == {"a.txt": "faster"}


def test_a_write_that_is_stopped_changes_nothing(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    (tmp_path / "a.txt").write_text("old")
    with ConfinedPaths(str(tmp_path), (str(tmp_path),)).place("a.txt") as place:
        existing = read_existing(place, "a.txt", 100)
        with pytest.raises(Stopped):
            replace_file(place, "a.txt", b"new", existing, stop)
    assert state_of(tmp_path) == {"a.txt": "old"}


async def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("old")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    error = (await bench.call("write", path="a.txt", content="new")).error
    assert error.message == "a.txt cannot be written: No space left on device"
    assert state_of(tmp_path) == {"a.txt": "old"}


async def test_the_diff_of_just_the_largest_texts_is_given_and_of_larger_ones_left_out(
    tmp_path: Path,
) -> None:
    bench = Workbench(tmp_path, limits=ExecutionLimits(diff_bytes_max=20))
    whole = await bench.call("write", path="a", content="x" * 18)  # And its two quotes, as JSON.
    assert len(whole.outcome.diff) == 1
    large = await bench.call("write", path="b", content="x" * 19)
    assert large.outcome.diff == ()
    assert large.outcome.truncated
    assert "the diff is left out" in large.texts[0]
    escaped = await bench.call("write", path="c", content="\x01" * 4)  # Six bytes each, as JSON.
    assert escaped.outcome.diff == ()
    both = await bench.call("write", path="a", content="y")
    assert both.outcome.diff == ()
    assert (tmp_path / "a").read_text() == "y"


async def test_what_was_no_text_is_replaced_without_a_diff(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\xfe")
    called = await bench.call("write", path="a", content="text")
    assert called.outcome.diff == ()
    assert (tmp_path / "a").read_text() == "text"


async def test_a_file_of_just_as_many_bytes_as_one_may_have_is_written_and_one_more_is_not(
    tmp_path: Path,
) -> None:
    bench = Workbench(tmp_path, limits=ExecutionLimits(file_bytes_max=4))
    assert (await bench.call("write", path="a", content="üü")).texts
    error = (await bench.call("write", path="a", content="üüx")).error
    assert (error.kind, error.message) == ("too_large", "the content has 5 bytes; a file may have 4")
    assert (tmp_path / "a").read_text() == "üü"


async def test_writes_at_once_take_turns_and_none_leaves_a_trace(bench: Workbench, tmp_path: Path) -> None:
    contents = [letter * 10_000 for letter in "abcdefgh"]
    async with anyio.create_task_group() as group:
        for content in contents:
            group.start_soon(lambda content=content: bench.call("write", path="a", content=content))
    assert state_of(tmp_path) in [{"a": content} for content in contents]


def test_a_call_names_its_file() -> None:
    tool = WriteTool(ExecutionLimits(), Turns())
    assert tool.kind == "edit"
    assert tool.title(WriteInput(path="a/b", content="")) == "write a/b"
    assert tool.locations(WriteInput(path="../b", content=""), "/w/a") == (Location(path="/w/b"),)
