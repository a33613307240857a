"""The tools `list` and `glob`: names, sorted, bounded, inside the roots."""

import os
from pathlib import Path

import pytest
from tool_calls import Workbench

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.tools.listing import GlobInput, GlobTool, ListInput, ListTool
from holdfast_protocol.events import Location


@pytest.fixture
def top(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("src/inner", "node_modules/x", ".git", "empty"):
        (root / name).mkdir(parents=True)
    for name in ("src/b.py", "src/a.py", "src/inner/c.py", "README.md", "node_modules/x/d.py", ".git/e.py"):
        (root / name).touch()
    (tmp_path / "secret.py").touch()
    (root / "out").symlink_to("..")
    (root / "link.py").symlink_to("src/a.py")
    return root


async def test_a_directory_is_listed_sorted_and_marked(top: Path) -> None:
    called = await Workbench(top).call("list")
    assert called.texts == [".git/\nREADME.md\nempty/\nlink.py@\nnode_modules/\nout@\nsrc/\n"]
    assert called.outcome.truncated is False


async def test_levels_below_are_listed_on_demand_each_directory_before_what_is_in_it(top: Path) -> None:
    assert (await Workbench(top).call("list", path="src", depth=2)).texts == [
        "a.py\nb.py\ninner/\ninner/c.py\n"
    ]
    everything = (await Workbench(top).call("list", depth=9)).texts[0]
    assert "node_modules/\n" in everything
    assert "node_modules/x" not in everything


async def test_an_empty_directory_says_so(top: Path) -> None:
    assert (await Workbench(top).call("list", path="empty")).texts == ["", "[the directory is empty]"]


async def test_just_so_many_entries_are_listed_and_one_more_is_told_of(tmp_path: Path) -> None:
    for n in range(7):
        (tmp_path / f"{n}").touch()
    whole = await Workbench(tmp_path, limits=ExecutionLimits(listed_entries_max=7)).call("list")
    assert whole.texts == ["0\n1\n2\n3\n4\n5\n6\n"]
    cut = await Workbench(tmp_path, limits=ExecutionLimits(listed_entries_max=6)).call("list")
    assert cut.texts == ["0\n1\n2\n3\n4\n5\n", "[the first 6; there are more: ask for less at once]"]
    assert cut.outcome.truncated


async def test_a_walk_that_was_cut_is_told_of(tmp_path: Path) -> None:
    for n in range(7):
        (tmp_path / f"{n}").touch()
    bench = Workbench(tmp_path, limits=ExecutionLimits(walked_entries_max=6))
    for called in (await bench.call("list"), await bench.call("glob", pattern="*")):
        assert called.texts[0].count("\n") == 6
        assert "there are more than 6" in called.texts[1]
        assert called.outcome.truncated


@pytest.mark.parametrize("tool", ["list", "glob"])
@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("missing", "not_found", "there is no file missing"),
        ("README.md", "not_a_directory", "README.md is not a directory"),
        ("..", "outside_roots", ".. is outside the session's directories"),
        ("out", "outside_roots", "out is outside the session's directories"),
        ("/etc", "outside_roots", "/etc is outside the session's directories"),
        ("a\0b", "invalid_input", "a path cannot hold a NUL character"),
    ],
)
async def test_what_cannot_be_listed_says_why(
    top: Path, tool: str, path: str, kind: str, message: str
) -> None:
    more = {"pattern": "*"} if tool == "glob" else {}
    error = (await Workbench(top).call(tool, path=path, **more)).error
    assert (error.kind, error.message) == (kind, message)


async def test_files_are_found_by_their_paths(top: Path) -> None:
    bench = Workbench(top)
    assert (await bench.call("glob", pattern="*.py")).texts == [
        "link.py\nsrc/a.py\nsrc/b.py\nsrc/inner/c.py\n"
    ]
    assert (await bench.call("glob", pattern="src/*.py")).texts == ["src/a.py\nsrc/b.py\n"]
    assert (await bench.call("glob", pattern="*", path="src/inner")).texts == ["src/inner/c.py\n"]
    assert (await bench.call("glob", pattern="*", path=f"{top}/src/inner")).texts == [
        f"{top}/src/inner/c.py\n"
    ]


async def test_what_a_search_leaves_out_is_found_where_it_begins(top: Path) -> None:
    called = await Workbench(top).call("glob", pattern="*.py", path="node_modules")
    assert called.texts == ["node_modules/x/d.py\n"]


async def test_no_directory_is_a_file_and_none_behind_a_symlink_is_entered(top: Path) -> None:
    found = (await Workbench(top).call("glob", pattern="**")).texts[0].splitlines()
    assert found == ["README.md", "link.py", "out", "src/a.py", "src/b.py", "src/inner/c.py"]


async def test_nothing_found_says_so(top: Path) -> None:
    assert (await Workbench(top).call("glob", pattern="*.rs")).texts == ["", "[no file fits]"]


async def test_a_pattern_that_is_none_says_why(top: Path) -> None:
    error = (await Workbench(top).call("glob", pattern="../*")).error
    assert (error.kind, error.message) == (
        "invalid_input", "a pattern cannot go up: give the directory as `path`",
    )  # fmt: skip


async def test_a_name_is_one_line_whatever_bytes_it_has(tmp_path: Path) -> None:
    (tmp_path / "two\nlines").touch()
    (tmp_path / os.fsdecode(b"\xff")).touch()
    bench = Workbench(tmp_path)
    assert (await bench.call("list")).texts == ["two\\nlines\n\\udcff\n"]
    assert (await bench.call("glob", pattern="*")).texts == ["two\\nlines\n\\udcff\n"]


async def test_a_further_root_is_listed_by_its_path(top: Path, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "two/file").touch()
    bench = Workbench(top, roots=(tmp_path / "two",))
    for path in (str(tmp_path / "two"), "../two"):
        assert (await bench.call("list", path=path)).texts == ["file\n"]
        assert (await bench.call("glob", pattern="*", path=path)).texts == [f"{path}/file\n"]


def test_calls_name_what_they_look_at() -> None:
    listing, glob = ListTool(ExecutionLimits()), GlobTool(ExecutionLimits())
    assert (listing.kind, glob.kind) == ("read", "search")
    assert listing.title(ListInput(path="a")) == "list a"
    assert listing.locations(ListInput(), "/w") == (Location(path="/w"),)
    assert glob.title(GlobInput(pattern="*.py")) == "find *.py"
    assert glob.locations(GlobInput(pattern="*", path="../b"), "/w/a") == (Location(path="/w/b"),)
