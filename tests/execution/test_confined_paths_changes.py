"""Places for changes: inside the roots, through no symlink, never in what git runs."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast_daemon.execution.confined_paths import (
    ConfinedPaths,
    OutsideRoots,
    ProtectedPlace,
    ThroughSymlink,
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two roots beside a secret, with links into and out of them."""
    top = tmp_path_factory.mktemp("house")
    for name in ("one/sub", "one/.git/hooks", "two", "other"):
        (top / name).mkdir(parents=True)
    for name in ("one/file", "one/sub/file", "two/file", "other/secret"):
        (top / name).write_text(name)
    (top / "one/inside_dir").symlink_to("sub")
    (top / "one/out_dir").symlink_to("../other")
    (top / "one/up").symlink_to("..")
    (top / "one/to_git").symlink_to(".git")
    return top


def paths(house: Path, *roots: str) -> ConfinedPaths:
    return ConfinedPaths(str(house / "one"), tuple(str(house / root) for root in roots or ("one",)))


@pytest.mark.parametrize(
    ("path", "holds", "name"),
    [
        ("file", "one", "file"),
        ("new", "one", "new"),
        ("sub/../file", "one", "file"),
        ("nothing/../sub/x", "one/sub", "x"),
        ("{house}/one/sub/x", "one/sub", "x"),
        ("../two/x", "two", "x"),
        ("out_dir", "one", "out_dir"),  # The link itself, which nobody has followed yet.
    ],
)
def test_a_place_is_a_name_in_the_directory_the_path_says(
    house: Path, path: str, holds: str, name: str
) -> None:
    with paths(house, "one", "two").place(path.format(house=house)) as place:
        assert os.path.samestat(os.fstat(place.directory), (house / holds).stat())
        assert place.name == name
        assert place.below[-1] == name
        assert place.made == ()


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("../x", OutsideRoots),
        ("sub/../../x", OutsideRoots),
        ("/etc/x", OutsideRoots),
        ("{house}/onex", OutsideRoots),
        ("out_dir/secret", ThroughSymlink),
        ("inside_dir/file", ThroughSymlink),
        ("up/one/file", ThroughSymlink),
        ("to_git/config", ThroughSymlink),
        (".git/config", ProtectedPlace),
        (".git/hooks/pre-commit", ProtectedPlace),
        (".GIT/config", ProtectedPlace),
        (".git", ProtectedPlace),
        ("sub/.git/new/config", ProtectedPlace),
        ("missing/x", FileNotFoundError),
        ("file/x", NotADirectoryError),
        (".", IsADirectoryError),
        ("a\0b", ValueError),
    ],
)
def test_no_other_place_opens(house: Path, path: str, error: type[Exception]) -> None:
    with pytest.raises(error), paths(house).place(path.format(house=house)):
        pass


def test_missing_directories_are_made_below_the_root_and_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with ConfinedPaths(str(tmp_path), (str(tmp_path),)).place("a/b/c/x", make_parents=True) as place:
        assert place.made == (("a", "b"), ("a", "b", "c"))
        assert os.path.samestat(os.fstat(place.directory), (tmp_path / "a/b/c").stat())
    assert list(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/c"]


@pytest.mark.parametrize(
    "path", ["out_dir/new/x", "inside_dir/new/x", ".git/new/x", "../new/x", "file/new/x"]
)
def test_nothing_is_made_where_nothing_may_be_changed(house: Path, path: str) -> None:
    before = sorted(house.rglob("*"))
    with pytest.raises((OutsideRoots, ProtectedPlace, OSError)), paths(house).place(path, make_parents=True):
        pass
    assert sorted(house.rglob("*")) == before


def test_a_root_may_itself_be_a_symlink(house: Path, tmp_path: Path) -> None:
    (tmp_path / "root").symlink_to(house / "one")
    with ConfinedPaths(str(tmp_path / "root"), (str(tmp_path / "root"),)).place("sub/x") as place:
        assert os.path.samestat(os.fstat(place.directory), (house / "one/sub").stat())


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_no_descriptor_is_left_open(house: Path) -> None:
    before = descriptors()
    for path in ("file", "missing/x", "out_dir/x", "../x", "file/x", ".", ".git/x", "sub/x"):
        try:
            with paths(house).place(path):
                assert descriptors() != before
        except (OutsideRoots, ProtectedPlace, OSError):
            continue
    assert descriptors() == before


names = st.sampled_from(
    ["..", ".", "", "file", "sub", "inside_dir", "up", "out_dir", "one", ".git", ".Git", "to_git", "hooks"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(names, min_size=1, max_size=7), absolute=st.booleans())
def test_whatever_place_opens_is_inside_and_not_gits(house: Path, chosen: list[str], absolute: bool) -> None:
    path = "/".join(chosen)
    try:
        with paths(house).place(f"{house}/{path}" if absolute else path) as place:
            directory = Path(f"/proc/self/fd/{place.directory}").readlink()
            mode = os.fstat(place.directory).st_mode
    except (OutsideRoots, ProtectedPlace, OSError):
        return
    root = (house / "one").resolve()
    assert stat.S_ISDIR(mode)
    assert directory.is_relative_to(root)
    assert ".git" not in (*directory.relative_to(root).parts, place.name)
    assert place.name not in (".", "..", "")
    assert "/" not in place.name
