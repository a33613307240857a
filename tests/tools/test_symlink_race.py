"""No tool leads out of the roots while a directory and a symlink to outside change places (security: P11).

`HOLDFAST_RACE_S` says how long the tools race, `HOLDFAST_RACES` how often paths do; what a short race misses,
a long one finds.
"""

import contextlib
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest
from tool_calls import Called, Workbench

from holdfast_daemon.execution.confined_paths import ConfinedPaths, OutsideRoots
from holdfast_daemon.tools.tree import Walk
from holdfast_protocol.content import plain_text
from holdfast_protocol.events import ErrorInfo

RACE_S = float(os.environ.get("HOLDFAST_RACE_S", "2"))
RACES = int(os.environ.get("HOLDFAST_RACES", "3000"))
FILES = 50

# `door` and `spare` are one a directory and one a symlink, and are exchanged in one step, over and over.
SWAPPER = """
import ctypes, os, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None)
swaps = 0
while not os.path.exists("../stop"):
    for _ in range(500):
        if libc.renameat2(-100, b"door", -100, b"spare", 2):
            sys.exit("the system cannot exchange names")
    swaps += 500
print(swaps)
"""


class House:
    """A root with a door that leads inside or, as a symlink, outside.

    Attributes:
        outside: what must not be seen or changed.
    """

    def __init__(self, top: Path) -> None:
        self.top = top
        self.root = top / "root"
        self.outside = top / "outside"
        (self.root / "door/deep").mkdir(parents=True)
        (self.outside / "deep").mkdir(parents=True)
        (self.root / "spare").symlink_to(self.outside)
        for n in range(FILES):
            (self.root / f"door/deep/{n}").write_text("within\n")
            (self.outside / f"deep/{n}").write_text("OUTSIDE\n")
        (self.root / "door/file").write_text("within: day\n")
        (self.outside / "file").write_text("OUTSIDE: day or night\n")
        (self.outside / "OUTSIDE").touch()
        self._before = self._state()

    def untouched(self) -> bool:
        """Tell whether everything outside is as it was."""
        return self._state() == self._before

    def _state(self) -> dict[str, tuple[str | None, int, int]]:
        return {
            str(path.relative_to(self.outside)): (
                path.read_text() if path.is_file() else None,
                path.stat().st_ino,
                path.stat().st_mtime_ns,
            )
            for path in (self.outside, *self.outside.rglob("*"))
        }


@contextlib.asynccontextmanager
async def swapping(house: House, swaps: list[int]) -> AsyncIterator[None]:
    """Have the door swapped; then put the number of swaps into `swaps`."""
    async with await anyio.open_process([sys.executable, "-c", SWAPPER, str(house.root)]) as swapper:
        assert swapper.stdout is not None
        try:
            yield
        finally:
            (house.top / "stop").touch()
            with anyio.CancelScope(shield=True):
                swaps.append(int(await swapper.stdout.receive()))


CALLS: dict[str, list[dict[str, object]]] = {
    "read": [{"path": "door/file"}, {"path": "door/deep/1"}, {"path": "spare/file"}],
    "write": [
        {"path": "door/new", "content": "new"},
        {"path": "spare/made/new", "content": "new"},
        {"path": "door/deep/1", "content": "within again\n"},
    ],
    "edit": [
        {"path": "door/file", "old": "day", "new": "night"},
        {"path": "door/file", "old": "night", "new": "day"},
        {"path": "spare/file", "old": "day", "new": "night"},
        {"path": "spare/file", "old": "night", "new": "day"},
    ],
    "list": [{"depth": 3}, {"path": "door"}, {"path": "spare", "depth": 2}],
    "glob": [{"pattern": "**"}, {"pattern": "*", "path": "door"}, {"pattern": "door/**"}],
    "grep": [{"pattern": "OUT|within"}, {"pattern": "OUT|within", "path": "door"}],
}


async def race(tool: str, bench: Workbench, outcomes: Counter[str]) -> None:
    """Make calls, one after the other, until cancelled; count how they ended."""
    while True:
        for tool_input in CALLS[tool]:
            called = await bench.call(tool, Called(), **tool_input)
            if isinstance(called.outcome, ErrorInfo):
                outcomes[called.outcome.kind] += 1
            else:
                outcomes["seen outside" if seen_outside(called) else "done"] += 1


def seen_outside(called: Called) -> bool:
    return "OUTSIDE" in plain_text(called.outcome.content)


@pytest.mark.timeout(RACE_S + 110)
@pytest.mark.skipif(sys.platform != "linux", reason="names are exchanged in one step on Linux alone")
async def test_a_race_with_a_symlink_leads_no_tool_out(tmp_path: Path) -> None:
    house = House(tmp_path)
    outcomes: dict[str, Counter[str]] = {tool: Counter() for tool in CALLS}
    swaps: list[int] = []
    async with swapping(house, swaps):
        with anyio.move_on_after(RACE_S):
            async with anyio.create_task_group() as group:
                for tool in CALLS:
                    group.start_soon(race, tool, Workbench(house.root), outcomes[tool])
    print(f"\n{swaps[0]} swaps in {RACE_S:g} s")
    for tool, counts in outcomes.items():
        print(f"{tool}: {counts.total()} calls, {dict(counts)}")
    assert house.untouched()
    assert not any(counts["seen outside"] for counts in outcomes.values())
    assert not any(counts["tool_failed"] for counts in outcomes.values()), "nothing but races happened"
    # It was a race: each tool met the door both as a directory and as a symlink, or at least did its work.
    assert swaps[0] > 0
    assert all(counts["done"] for counts in outcomes.values())
    for tool, refusals in (("read", "outside_roots"), ("write", "symlink"), ("edit", "symlink")):
        assert outcomes[tool][refusals]
    assert list(house.top.rglob(".holdfast-*")) == []


# The same without a tool around it: many more races.


def read_once(paths: ConfinedPaths) -> str:
    with os.fdopen(paths.open_for_reading("door/file")) as file:
        return "seen outside" if "OUTSIDE" in file.read() else "done"


def change_once(paths: ConfinedPaths) -> str:
    with paths.place("door/deep/new") as place:
        os.close(os.open(place.name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=place.directory))
        os.unlink(place.name, dir_fd=place.directory)
    return "done"


def walk_once(paths: ConfinedPaths) -> str:
    start = paths.open_for_reading(".")
    try:
        walk = Walk(
            start, entries_max=1000, enter=lambda parts: parts[-1] in {"door", "spare"}, check=lambda: None
        )
        return "seen outside" if any("OUTSIDE" in entry.parts for entry in walk) else "done"
    finally:
        os.close(start)


def race_plainly(act: Callable[[ConfinedPaths], str], house: House) -> Counter[str]:
    paths = ConfinedPaths(str(house.root), (str(house.root),))
    outcomes: Counter[str] = Counter()
    for _ in range(RACES):
        try:
            outcomes[act(paths)] += 1
        except (OutsideRoots, OSError) as error:
            outcomes[type(error).__name__] += 1
    return outcomes


@pytest.mark.timeout(110 + RACES / 500)
@pytest.mark.skipif(sys.platform != "linux", reason="names are exchanged in one step on Linux alone")
@pytest.mark.parametrize("act", [read_once, change_once, walk_once])
async def test_a_race_with_a_symlink_leads_no_path_out(
    tmp_path: Path, act: Callable[[ConfinedPaths], str]
) -> None:
    house = House(tmp_path)
    swaps: list[int] = []
    async with swapping(house, swaps):
        outcomes = await anyio.to_thread.run_sync(race_plainly, act, house)
    print(f"\n{act.__name__}: {outcomes.total()} races, {swaps[0]} swaps, {dict(outcomes)}")
    assert house.untouched()
    assert not outcomes["seen outside"]
    assert outcomes["done"]
    assert swaps[0] > 0
