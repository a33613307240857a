"""Files inside the roots open, nothing else does: by the kernel's rule and by the walk of components."""

import os
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast_daemon.execution.confined_paths import (
    ConfinedPaths,
    Opener,
    OutsideRoots,
    kernel_confines,
    open_beneath,
    open_by_components,
)

OPENERS = [
    pytest.param(open_by_components, id="components"),
    pytest.param(
        open_beneath, id="kernel", marks=pytest.mark.skipif(not kernel_confines(), reason="no openat2")
    ),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two roots beside a secret, with links into and out of them."""
    top = tmp_path_factory.mktemp("house")
    for name in ("one/sub", "two", "other"):
        (top / name).mkdir(parents=True)
    for name in ("one/file", "one/sub/file", "two/file", "other/secret", "secret"):
        (top / name).write_text(name)
    (top / "one/inside").symlink_to("sub/file")
    (top / "one/inside_dir").symlink_to("sub")
    (top / "one/up").symlink_to("..")
    (top / "one/out").symlink_to("../other/secret")
    (top / "one/out_dir").symlink_to("../other")
    (top / "one/absolute").symlink_to(top / "other/secret")
    (top / "one/absolute_dir").symlink_to("/")
    (top / "one/loop").symlink_to("loop")
    (top / "one/proc").symlink_to("/proc/self/root")
    os.mkfifo(top / "one/fifo")
    return top


def paths(house: Path, opener: Opener, *roots: str) -> ConfinedPaths:
    inside = tuple(str(house / root) for root in roots or ("one",))
    return ConfinedPaths(str(house / "one"), inside, opener=opener)


def read(confined: ConfinedPaths, path: str) -> str:
    with os.fdopen(confined.open_for_reading(path)) as file:
        return file.read()


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("file", "one/file"),
        ("./sub/../file", "one/file"),
        ("sub//file", "one/sub/file"),
        ("{house}/one/sub/file", "one/sub/file"),
        ("../two/file", "two/file"),
        ("{house}/two/file", "two/file"),
    ],
)
def test_a_file_inside_a_root_opens(house: Path, opener: Opener, path: str, content: str) -> None:
    assert read(paths(house, opener, "one", "two"), path.format(house=house)) == content


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "sub/../../secret",
        "{house}/secret",
        "{house}/one/../secret",
        "{house}/onesecret",
        "/etc/passwd",
        "out",
        "out_dir/secret",
        "up/secret",
        "absolute",
        "absolute_dir/etc/passwd",
        "proc/etc/passwd",
        "..",
        "/",
    ],
)
def test_nothing_outside_the_roots_opens(house: Path, opener: Opener, path: str) -> None:
    with pytest.raises(OutsideRoots):
        paths(house, opener).open_for_reading(path.format(house=house))


@pytest.mark.skipif(not kernel_confines(), reason="no openat2")
@pytest.mark.parametrize("path", ["inside", "inside_dir/file"])
def test_a_symlink_that_stays_inside_is_followed_where_the_kernel_watches(house: Path, path: str) -> None:
    assert read(paths(house, open_beneath), path) == "one/sub/file"


@pytest.mark.parametrize("path", ["inside", "inside_dir/file", "loop"])
def test_the_walk_of_components_follows_no_symlink(house: Path, path: str) -> None:
    with pytest.raises(OutsideRoots):
        paths(house, open_by_components).open_for_reading(path)


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("missing", FileNotFoundError),
        ("sub/missing/file", FileNotFoundError),
        ("file/below", NotADirectoryError),
        ("x" * 300, OSError),
        ("fi\0le", ValueError),
    ],
)
def test_what_cannot_be_opened_says_why(
    house: Path, opener: Opener, path: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        paths(house, opener).open_for_reading(path)


@pytest.mark.parametrize("opener", OPENERS)
def test_a_fifo_does_not_block(house: Path, opener: Opener) -> None:
    descriptor = paths(house, opener).open_for_reading("fifo")
    try:
        assert stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def test_a_root_may_itself_be_a_symlink(house: Path, tmp_path: Path) -> None:
    (tmp_path / "root").symlink_to(house / "one")
    confined = ConfinedPaths(str(tmp_path / "root"), (str(tmp_path / "root"),))
    assert read(confined, "file") == "one/file"


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("opener", OPENERS)
def test_no_descriptor_is_left_open(house: Path, opener: Opener) -> None:
    confined = paths(house, opener)
    before = descriptors()
    for path in ("file", "missing", "out", "sub/missing/file", "../secret", "file/below", "sub/file"):
        try:
            os.close(confined.open_for_reading(path))
        except (OutsideRoots, OSError):
            continue
    assert descriptors() == before


components = st.sampled_from(
    [
        "..",
        ".",
        "",
        "file",
        "sub",
        "inside",
        "inside_dir",
        "up",
        "out",
        "out_dir",
        "absolute_dir",
        "proc",
        "one",
    ]
)


@pytest.mark.parametrize("opener", OPENERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(components, min_size=1, max_size=7), absolute=st.booleans())
def test_whatever_opens_is_inside(house: Path, opener: Opener, names: list[str], absolute: bool) -> None:
    path = "/".join(names)
    try:
        descriptor = paths(house, opener).open_for_reading(f"{house}/{path}" if absolute else path)
    except (OutsideRoots, OSError):
        return
    try:
        opened = Path(f"/proc/self/fd/{descriptor}").readlink()
        assert opened.is_relative_to((house / "one").resolve())
    finally:
        os.close(descriptor)


SWAPPER = """
import os, sys
os.chdir(sys.argv[1])
os.symlink("../outside", "link")
print(flush=True)
while True:
    os.rename("real", "door")
    os.rename("door", "real")
    os.rename("link", "door")
    os.rename("door", "link")
"""


@pytest.fixture
def swapped(tmp_path: Path) -> Iterator[Path]:
    """A root in which another process makes `door` now a directory, now a symlink out, all the time."""
    root = tmp_path / "root"
    for folder, content in ((root / "real", "inside"), (tmp_path / "outside", "outside")):
        folder.mkdir(parents=True)
        (folder / "file").write_text(content)
    with subprocess.Popen([sys.executable, "-c", SWAPPER, root], stdout=subprocess.PIPE) as swapper:
        assert swapper.stdout is not None
        swapper.stdout.readline()
        yield root
        swapper.kill()


@pytest.mark.parametrize("opener", OPENERS)
def test_a_race_with_a_symlink_never_leads_out(swapped: Path, opener: Opener) -> None:
    """security.md P11. So often that a check before the open, which also fails this, is caught out."""
    confined = ConfinedPaths(str(swapped), (str(swapped),), opener=opener)
    seen: Counter[str] = Counter()
    for _ in range(1_000_000):
        try:
            seen[read(confined, "door/file")] += 1
        except (OutsideRoots, OSError) as error:
            seen[type(error).__name__] += 1
        if "outside" in seen or min(seen["inside"], seen["OutsideRoots"]) >= 2000:
            break
    assert "outside" not in seen
    assert seen["inside"] >= 2000
    assert seen["OutsideRoots"] >= 2000
