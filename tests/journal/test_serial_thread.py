"""A thread that runs calls one after the other."""

import threading

import anyio
import pytest
from journal_world import WAIT_S, Gate

from holdfast_daemon.journal.serial_thread import SerialThread


async def test_calls_run_in_order_on_one_thread_and_give_their_results() -> None:
    seen: list[tuple[int, str]] = []

    def work(number: int, *, factor: int) -> int:
        seen.append((number, threading.current_thread().name))
        return number * factor

    with SerialThread("alone") as thread:
        results: list[int] = []

        async def call(number: int) -> None:
            results.append(await thread.call(work, number, factor=10))

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(call, number)
    assert seen == [(number, "alone") for number in range(20)]
    assert results == [number * 10 for number in range(20)]


async def test_what_a_call_raises_is_raised_in_its_caller_and_the_thread_goes_on() -> None:
    with SerialThread("t") as thread:
        with pytest.raises(ZeroDivisionError):
            await thread.call(lambda: 1 // 0)
        with pytest.raises(SystemExit):
            await thread.call(exit)
        assert await thread.call(lambda: "alive") == "alive"


async def test_a_cancelled_caller_waits_no_longer_and_the_call_ends_all_the_same() -> None:
    gate, done = Gate(), threading.Event()
    gate.close()

    def work() -> None:
        gate()
        done.set()

    with SerialThread("t") as thread:
        with anyio.move_on_after(WAIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(thread.call, work)
                await gate.reached()
                tasks.cancel_scope.cancel()
        assert not done.is_set()
        gate.open()
        assert await thread.call(done.is_set)


async def test_leaving_waits_for_the_calls_before_it() -> None:
    ended: list[int] = []
    with SerialThread("t") as thread:
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(thread.call, ended.append, number)
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert ended == [0, 1, 2, 3, 4]
    assert all(other.name != "t" for other in threading.enumerate())
