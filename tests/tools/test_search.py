"""The `grep` tool: matching lines, in a process that can be ended."""

import re
import sys
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tool_calls import Called, Workbench, runs_with

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.tools.bounded_lines import LINES_BYTES_MAX
from holdfast_daemon.tools.grep_process import LINE_CHARS_MAX, matching_lines, text_lines
from holdfast_daemon.tools.search import GrepInput, GrepTool
from holdfast_protocol.events import Location

FOR_EVER = "(x+x+)+y"
"""Takes time that doubles with every `x` of a line without a `y`."""


@pytest.fixture
def top(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "src").mkdir(parents=True)
    (root / "node_modules").mkdir()
    (root / "README.md").write_text("# Title\n\nNeedle in a README\n")
    (root / "src/a.py").write_text("one\ntwo\nneedle = 1\nfour\nfive\nsix\nneedle = 2")
    (root / "node_modules/b.py").write_text("needle\n")
    (root / "binary").write_bytes(b"needle\0")
    (tmp_path / "secret").write_text("needle\n")
    (root / "link").symlink_to("src/a.py")
    (root / "out").symlink_to("..")
    return root


async def test_matching_lines_are_given_with_their_places(top: Path) -> None:
    called = await Workbench(top).call("grep", pattern=r"needle = \d")
    assert called.texts == ["src/a.py:3:needle = 1\nsrc/a.py:7:needle = 2\n", "[left out 1 that are binary]"]
    assert called.outcome.truncated is False


async def test_capitals_may_be_taken_for_small_letters(top: Path) -> None:
    called = await Workbench(top).call("grep", pattern="needle", ignore_case=True, glob="*.md")
    assert called.texts == ["README.md:3:Needle in a README\n"]


async def test_lines_near_a_match_are_shown_once_and_gaps_are_marked(top: Path) -> None:
    texts = (await Workbench(top).call("grep", pattern="needle|Title", context=1, glob="*.{py,md}")).texts
    assert texts[0].splitlines() == [
        "README.md:1:# Title",
        "README.md-2-",
        "--",
        "src/a.py-2-two",
        "src/a.py:3:needle = 1",
        "src/a.py-4-four",
        "--",
        "src/a.py-6-six",
        "src/a.py:7:needle = 2",
    ]


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"path": "src"}, ["src/a.py:3", "src/a.py:7"]),
        ({"path": "src/a.py"}, ["src/a.py:3", "src/a.py:7"]),
        ({"path": "link"}, ["link:3", "link:7"]),
        ({"path": "node_modules"}, ["node_modules/b.py:1"]),
        ({"glob": "src/*"}, ["src/a.py:3", "src/a.py:7"]),
        ({"glob": "*.md"}, []),
    ],
)
async def test_only_what_is_asked_for_is_searched(
    top: Path, members: dict[str, str], found: list[str]
) -> None:
    text = (await Workbench(top).call("grep", pattern="needle", **members)).texts[0]
    assert [":".join(line.split(":")[:2]) for line in text.splitlines()] == found


@pytest.mark.parametrize(
    ("members", "kind", "message"),
    [
        ({"path": "missing"}, "not_found", "there is no file missing"),
        ({"path": ".."}, "outside_roots", ".. is outside the session's directories"),
        ({"path": "out"}, "outside_roots", "out is outside the session's directories"),
        ({"path": "/etc/passwd"}, "outside_roots", "/etc/passwd is outside the session's directories"),
        ({"path": "a\0b"}, "invalid_input", "a path cannot hold a NUL character"),
        (
            {"pattern": "("},
            "invalid_input",
            "pattern: missing ), unterminated subpattern at position 0",
        ),
        ({"glob": "../*"}, "invalid_input", "glob: a pattern cannot go up: give the directory as `path`"),
    ],
)
async def test_what_cannot_be_searched_says_why(
    top: Path, members: dict[str, str], kind: str, message: str
) -> None:
    error = (await Workbench(top).call("grep", **{"pattern": "needle", **members})).error
    assert (error.kind, error.message) == (kind, message)


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.mark.parametrize(
    "pattern", ["--help", "-f/etc/passwd", "$(touch here)", "`touch here`", "'; touch here"]
)
async def test_a_pattern_is_never_an_option_or_a_command(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "a").write_text(f"x {pattern} y\n")
    called = await Workbench(tmp_path).call("grep", pattern=re.escape(pattern))
    assert called.texts == [f"a:1:x {pattern} y\n"]
    assert names_in(tmp_path) == {"a"}


async def test_a_pattern_that_never_ends_is_ended_and_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x" * 100 + "\n")
    bench = Workbench(tmp_path, limits=ExecutionLimits(search_timeout_s=0.5))
    error = (await bench.call("grep", pattern=FOR_EVER)).error
    assert error.kind == "timeout"
    assert "no match was found in 0.5 s" in error.message
    assert not runs_with(str(tmp_path))


async def test_what_was_found_before_the_time_was_over_is_given(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("xxy\n")
    (tmp_path / "b").write_text("x" * 100 + "\n")
    bench = Workbench(tmp_path, limits=ExecutionLimits(search_timeout_s=1.5))
    called = await bench.call("grep", pattern=FOR_EVER)
    assert called.texts == ["a:1:xxy\n", "[the search was ended after 1.5 s: there may be more]"]
    assert called.outcome.truncated


async def test_the_daemon_goes_on_while_a_pattern_never_ends_and_a_cancel_is_heard(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x" * 100 + "\n")
    bench = Workbench(tmp_path)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: bench.call("grep", pattern=FOR_EVER))
            while not await anyio.to_thread.run_sync(runs_with, str(tmp_path)):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    assert not runs_with(str(tmp_path))


async def test_the_search_has_no_environment_and_nothing_of_the_directory_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository may bring a `re.py` or a `sitecustomize.py`: it must not run."""
    for name in ("re.py", "json.py", "sitecustomize.py", "usercustomize.py", "holdfast_daemon.py"):
        (tmp_path / name).write_text("open('ran', 'w')\nneedle = 1\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    called = await Workbench(tmp_path).call("grep", pattern="needle")
    assert len(called.texts[0].splitlines()) == 5
    assert "ran" not in names_in(tmp_path)


async def test_just_so_many_matches_are_given_and_one_more_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x\n" * 3)
    (tmp_path / "b").write_text("x\n" * 2)
    whole = await Workbench(tmp_path, limits=ExecutionLimits(matches_max=5)).call("grep", pattern="x")
    assert whole.texts == ["a:1:x\na:2:x\na:3:x\nb:1:x\nb:2:x\n"]
    cut = await Workbench(tmp_path, limits=ExecutionLimits(matches_max=4)).call("grep", pattern="x")
    assert cut.texts == [
        "a:1:x\na:2:x\na:3:x\nb:1:x\n", "[the first 4 matches; there are more: narrow the search]",
    ]  # fmt: skip
    assert cut.outcome.truncated


async def test_a_result_has_so_many_bytes_at_most(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(("x" * 390 + "\n") * 400)
    called = await Workbench(tmp_path).call("grep", pattern="x")
    assert len(called.texts[0].encode()) <= LINES_BYTES_MAX
    assert "there are more" in called.texts[1]


async def test_files_of_just_the_largest_size_are_searched_and_larger_ones_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x" * 10)
    (tmp_path / "b").write_text("x" * 11)
    bench = Workbench(tmp_path, limits=ExecutionLimits(searched_file_bytes_max=10))
    assert (await bench.call("grep", pattern="x")).texts == [
        "a:1:xxxxxxxxxx\n", "[left out 1 that are larger than 10 bytes]",
    ]  # fmt: skip


async def test_just_so_many_entries_are_looked_at(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text("x\n")
    bench = Workbench(tmp_path, limits=ExecutionLimits(walked_entries_max=2))
    called = await bench.call("grep", pattern="x")
    assert called.texts[0].count("\n") == 2
    assert "there are more than 2 files" in called.texts[1]


async def test_of_a_long_line_the_part_around_the_match_is_shown(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a" * 5000 + "needle" + "b" * 5000 + "\n")
    line = (await Workbench(tmp_path).call("grep", pattern="needle")).texts[0].rstrip("\n")
    assert line.startswith("a:1:…aaa")
    assert line.endswith("bbb…")
    assert "needle" in line
    assert len(line) == len("a:1:……") + LINE_CHARS_MAX


async def test_bytes_that_are_not_utf_8_are_shown_as_such(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"caf\xe9 needle\r\n")
    assert (await Workbench(tmp_path).call("grep", pattern="needle")).texts == ["a:1:caf\ufffd needle\n"]


async def test_words_of_any_language_are_found_in_files_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "größe").mkdir()
    (tmp_path / "größe/日本.txt").write_text("naïve 日本語\n")
    bench = Workbench(tmp_path)
    for members in ({}, {"path": "größe"}, {"path": "größe/日本.txt"}, {"glob": "größe/日*"}):
        assert (await bench.call("grep", pattern="日本語$", **members)).texts == [
            "größe/日本.txt:1:naïve 日本語\n"
        ]


async def test_nothing_found_says_so(top: Path) -> None:
    assert (await Workbench(top).call("grep", pattern="nowhere", glob="*.py")).texts == ["", "[no match]"]


async def test_a_search_that_breaks_off_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("x\n")
    monkeypatch.setattr(sys, "executable", "/bin/true")
    error = (await Workbench(tmp_path).call("grep", pattern="x")).error
    assert (error.kind, error.message) == ("tool_failed", "the search broke off with exit code 0")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    error = (await Workbench(tmp_path).call("grep", pattern="x")).error
    assert error.kind == "tool_failed"


async def test_several_searches_run_at_once(top: Path) -> None:
    calls = [Called() for _ in range(4)]
    bench = Workbench(top)
    async with anyio.create_task_group() as group:
        for called in calls:
            group.start_soon(lambda called=called: bench.call("grep", called, pattern="needle"))
    assert len({called.texts[0] for called in calls}) == 1


def test_a_call_names_what_it_looks_for() -> None:
    tool = GrepTool(ExecutionLimits())
    assert tool.kind == "search"
    assert tool.title(GrepInput(pattern="x")) == "search for x"
    assert tool.locations(GrepInput(pattern="x", path="../b"), "/w/a") == (Location(path="/w/b"),)


# Lines of one file ----------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from("x."), max_size=30), st.integers(0, 4))
def test_shown_are_just_the_lines_within_reach_of_a_match(lines: list[str], context: int) -> None:
    found = list(matching_lines(iter(lines), re.compile("x"), context))
    matches = {number for number, line in enumerate(lines, 1) if line == "x"}
    near = {n for n in range(1, len(lines) + 1) if any(abs(n - m) <= context for m in matches)}
    assert [line.number for line in found] == sorted(near)
    assert {line.number for line in found if line.at >= 0} == matches


@given(st.text(alphabet="ab\n\r ", max_size=30))
def test_lines_are_those_between_line_ends(text: str) -> None:
    lines = list(text_lines(text.encode()))
    assert "\n".join(lines).replace("\r", "") == text.removesuffix("\n").replace("\r", "")
