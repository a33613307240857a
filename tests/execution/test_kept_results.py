"""Results of which the model was shown a part: whole in a file, named in the result, bounded."""

from pathlib import Path

import anyio
import pytest

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.kept_results import SHOWN_BYTES_MAX, WholeResult, kept_path

LONG = "x" * (SHOWN_BYTES_MAX + 1)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def test_a_text_that_is_shown_whole_is_not_kept(tmp_path: Path) -> None:
    whole = WholeResult(tmp_path / "s", "r1-m1-t1", ExecutionLimits())
    await whole.take(LONG[1:])
    assert await whole.keep() is None
    assert not (tmp_path / "s").exists()


async def test_one_byte_more_is_kept_whole_for_the_owner_alone(tmp_path: Path) -> None:
    whole = WholeResult(tmp_path / "s", "r1-m1-t1", ExecutionLimits())
    for piece in ("é" * 10, LONG, "end"):
        await whole.take(piece)
    assert await whole.keep() == "result:r1-m1-t1"
    file = tmp_path / "s" / "r1-m1-t1"
    assert file.read_text(encoding="utf-8") == "é" * 10 + LONG + "end"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


async def test_pieces_given_at_once_stand_in_their_order(tmp_path: Path) -> None:
    whole = WholeResult(tmp_path, "call", ExecutionLimits())
    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(whole.take, str(number) * SHOWN_BYTES_MAX)
    await whole.keep()
    expected = "".join(str(number) * SHOWN_BYTES_MAX for number in range(8))
    assert (tmp_path / "call").read_text(encoding="utf-8") == expected


async def test_what_comes_after_the_end_is_nobodys(tmp_path: Path) -> None:
    whole = WholeResult(tmp_path, "call", ExecutionLimits())
    await whole.take(LONG)
    await whole.keep()
    await whole.take("late")
    await whole.drop()
    assert (tmp_path / "call").read_text(encoding="utf-8") == LONG


@pytest.mark.parametrize("over", [0, 1])
async def test_what_is_over_the_limit_is_left_out(tmp_path: Path, over: int) -> None:
    limits = ExecutionLimits(kept_result_bytes_max=SHOWN_BYTES_MAX + 100)
    whole = WholeResult(tmp_path, "call", limits)
    await whole.take("y" * (SHOWN_BYTES_MAX + 100 + over))
    await whole.keep()
    assert (tmp_path / "call").stat().st_size == SHOWN_BYTES_MAX + 100


async def test_the_oldest_go_when_there_is_too_much_and_the_newest_stays(tmp_path: Path) -> None:
    limits = ExecutionLimits(kept_results_bytes_max=2 * len(LONG))
    for name in ("one", "two", "three"):
        whole = WholeResult(tmp_path, name, limits)
        await whole.take(LONG)
        await whole.keep()
    assert names(tmp_path) == {"two", "three"}
    huge = WholeResult(tmp_path, "huge", limits)
    await huge.take(LONG * 3)
    await huge.keep()
    assert names(tmp_path) == {"huge"}


async def test_a_call_that_ended_without_being_told_of_it_leaves_nothing(tmp_path: Path) -> None:
    whole = WholeResult(tmp_path, "call", ExecutionLimits())
    await whole.take(LONG)
    await whole.drop()
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    "path", ["result:../token", "result:a/b", "result:", "result:.hidden", "a", "/result:a"]
)
def test_no_other_path_means_a_kept_result(path: str) -> None:
    assert kept_path("/results", path) is None


def test_a_kept_result_lies_in_its_sessions_directory_alone() -> None:
    assert kept_path("/results/7", "result:r1-m1-t1") == "/results/7/r1-m1-t1"
    assert kept_path(None, "result:r1-m1-t1") is None
