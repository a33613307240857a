"""Walks: in one order, through no symlink, up to a number of entries."""

import os
from pathlib import Path

import pytest

from holdfast_daemon.tools.tree import Entry, Walk, shown_path, walk_notes


def nothing() -> None:
    pass


def entries(top: Path, entries_max: int = 1000, depth: int = 99) -> tuple[list[str], Walk]:
    start = os.open(top, os.O_RDONLY)
    try:
        walk = Walk(start, entries_max=entries_max, enter=lambda parts: len(parts) < depth, check=nothing)
        return ["/".join(entry.parts) for entry in walk], walk
    finally:
        os.close(start)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for name in ("b/c", "a", ".git/hooks", "node_modules/x"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("b/c/file", "b/z", "a/file", "file", ".hidden", ".git/config"):
        (tmp_path / name).touch()
    (tmp_path / "a/up").symlink_to("..")
    return tmp_path


def test_each_directory_is_followed_by_what_is_in_it(top: Path) -> None:
    assert entries(top)[0] == [
        ".git", ".hidden", "a", "a/file", "a/up", "b", "b/c", "b/c/file", "b/z", "file", "node_modules",
    ]  # fmt: skip


def test_a_directory_that_is_skipped_elsewhere_is_walked_if_the_walk_begins_there(top: Path) -> None:
    assert entries(top / ".git")[0] == ["config", "hooks"]


def test_a_walk_goes_as_deep_as_it_may(top: Path) -> None:
    assert entries(top, depth=1)[0] == [".git", ".hidden", "a", "b", "file", "node_modules"]
    assert "b/c/file" not in entries(top, depth=2)[0]


def test_just_so_many_entries_are_looked_at_and_one_more_is_told_of(tmp_path: Path) -> None:
    for n in range(6):
        (tmp_path / str(n)).touch()
    names, walk = entries(tmp_path, entries_max=6)
    assert (len(names), walk.cut, walk_notes(walk, 6)) == (6, False, [])
    names, walk = entries(tmp_path, entries_max=5)
    assert (len(names), walk.cut) == (5, True)
    assert walk_notes(walk, 5) == ["not all was looked at: there are more than 5 files and directories"]


def test_kinds_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "symlink").symlink_to("directory")
    os.mkfifo(tmp_path / "other")
    start = os.open(tmp_path, os.O_RDONLY)
    try:
        walk = Walk(start, entries_max=10, enter=lambda _parts: True, check=nothing)
        assert all(entry == Entry((entry.kind,), entry.kind) for entry in walk)
    finally:
        os.close(start)


def test_a_directory_that_becomes_a_symlink_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "top/door").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").touch()
    start = os.open(tmp_path / "top", os.O_RDONLY)
    try:
        walk = Walk(start, entries_max=10, enter=lambda _parts: True, check=nothing)
        seen = []
        for entry in walk:
            seen.append("/".join(entry.parts))
            (tmp_path / "top/door").rmdir()
            (tmp_path / "top/door").symlink_to("../outside")
    finally:
        os.close(start)
    assert seen == ["door"]
    assert walk_notes(walk, 10) == ["1 directory could not be read"]


def test_a_walk_can_be_stopped(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    start = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(Stopped):
            list(Walk(start, entries_max=10, enter=lambda _parts: True, check=stop))
    finally:
        os.close(start)


def test_a_walk_holds_one_descriptor_however_deep_it_is(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(60):
        deep /= "d"
    deep.mkdir(parents=True)

    def held() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    start = os.open(tmp_path, os.O_RDONLY)
    try:
        before = held()
        counts = {held() for _entry in Walk(start, entries_max=100, enter=lambda _parts: True, check=nothing)}
    finally:
        os.close(start)
    assert counts == {before}


@pytest.mark.parametrize(
    ("name", "shown"),
    [("plain ü.txt", "plain ü.txt"), ("a\nb\x1b[0m", "a\\nb\\x1b[0m"), (os.fsdecode(b"\xff"), "\\udcff")],
)
def test_a_path_is_shown_as_one_line_of_text(name: str, shown: str) -> None:
    assert shown_path(name) == shown
