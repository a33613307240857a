"""Turns at a file."""

import anyio

from holdfast_daemon.tools.turns import Turns


async def test_one_at_a_time_is_at_a_path_and_others_are_not_concerned() -> None:
    turns = Turns()
    at: list[str] = []
    go_on = anyio.Event()

    async def take(name: str, path: str) -> None:
        async with turns.at(path):
            at.append(name)
            await go_on.wait()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for name, path in (("first", "/a"), ("second", "/a"), ("other", "/b")):
                group.start_soon(take, name, path)
            await anyio.wait_all_tasks_blocked()
            assert at == ["first", "other"]
            assert len(turns) == 2
            go_on.set()
    assert at == ["first", "other", "second"]
    assert len(turns) == 0


async def test_who_gives_up_waiting_leaves_the_turn_to_the_next() -> None:
    turns = Turns()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group, turns.at("/a"):
            group.start_soon(_wait_in_vain, turns)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        async with turns.at("/a"):
            assert len(turns) == 1
    assert len(turns) == 0


async def _wait_in_vain(turns: Turns) -> None:
    async with turns.at("/a"):
        raise AssertionError("the turn was not free")
