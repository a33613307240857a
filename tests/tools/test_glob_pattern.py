"""Patterns of paths."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.tools.glob_pattern import ALTERNATIVES_MAX, BadPattern, GlobPattern


@pytest.mark.parametrize(
    ("pattern", "fits", "not_fits"),
    [
        ("*.py", ["a.py", "b/c/a.py", ".py"], ["a.pyc", "a.py/b"]),
        ("./*.py", ["a.py"], ["b/a.py"]),
        ("src/*.py", ["src/a.py"], ["src/b/a.py", "a.py", "x/src/a.py"]),
        ("src/**/*.py", ["src/a.py", "src/b/a.py", "src/b/c/a.py"], ["a.py", "src/a.txt"]),
        ("**/test_*.py", ["test_a.py", "x/test_a.py"], ["x/a_test.py"]),
        ("src/**", ["src/a", "src/b/c"], ["a", "x/src/a"]),
        ("*.{ts,tsx}", ["a.ts", "b/a.tsx"], ["a.t", "a.js"]),
        ("{src,tests}/{a,b}*.py", ["src/a1.py", "tests/b.py"], ["src/c.py", "lib/a.py"]),
        ("{a,b{c,d}}", ["a", "bc", "bd"], ["b", "c", "bcd"]),
        ("[!a]?.txt", ["bb.txt"], ["ab.txt", "b.txt"]),
        ("A.py", ["A.py"], ["a.py"]),
        ("a{b}c", ["a{b}c"], ["abc"]),
        ("**", ["a", "b/c"], []),
    ],
)
def test_a_pattern_fits_what_it_says(pattern: str, fits: list[str], not_fits: list[str]) -> None:
    glob = GlobPattern(pattern)
    for path in fits:
        assert glob.matches(tuple(path.split("/"))), path
    for path in not_fits:
        assert not glob.matches(tuple(path.split("/"))), path


@pytest.mark.parametrize("pattern", ["/etc/*", "../*", "a/../b", "", ".", "//", "{/etc,a}/*"])
def test_a_pattern_that_leads_elsewhere_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        GlobPattern(pattern)


def test_a_pattern_has_so_many_alternatives_and_not_one_more() -> None:
    def words(count: int) -> str:
        return "{" + ",".join(f"w{n}" for n in range(count)) + "}"

    assert GlobPattern(words(ALTERNATIVES_MAX)).matches(("w63",))
    for pattern in (words(ALTERNATIVES_MAX + 1), "{a,b}" * 100):
        with pytest.raises(BadPattern, match="64 alternatives"):
            GlobPattern(pattern)


def test_only_directories_that_may_hold_something_are_entered() -> None:
    glob = GlobPattern("src/*/x.py")
    assert [glob.enters(tuple(path.split("/"))) for path in ("src", "src/a", "src/a/b", "lib")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert GlobPattern("*.py").enters(("any", "where"))
    assert not GlobPattern("a/b").enters(("a", "b"))


@pytest.mark.timeout(10)  # Far above what they take; for ever if they backtrack.
def test_no_pattern_takes_for_ever() -> None:
    name = "a" * 255
    assert not GlobPattern("*a" * 100 + "b").matches((name,))
    assert not GlobPattern("**/*a/" * 150 + "b").matches((name,) * 200)


paths = st.lists(st.sampled_from(["a", "b", "ab", "a.py"]), min_size=1, max_size=5)
patterns = st.lists(st.sampled_from(["a", "*", "a*", "?", "*.py", "**"]), min_size=2, max_size=5)


@given(paths, patterns)
def test_matching_agrees_with_a_plain_recursion(path: list[str], pattern: list[str]) -> None:
    def fits(names: list[str], parts: list[str]) -> bool:
        if not parts:
            return not names
        if parts[0] == "**":
            return fits(names, parts[1:]) or (bool(names) and fits(names[1:], parts))
        return bool(names) and PurePosixPath(names[0]).match(parts[0]) and fits(names[1:], parts[1:])

    assert GlobPattern("/".join(pattern)).matches(tuple(path)) == fits(path, pattern)


@given(paths, patterns)
def test_whatever_fits_lies_where_a_walk_enters(path: list[str], pattern: list[str]) -> None:
    glob = GlobPattern("/".join(pattern))
    if glob.matches(tuple(path)):
        assert all(glob.enters(tuple(path[:depth])) for depth in range(1, len(path)))
