"""A session's inbox and its one place for a run."""

import anyio
import pytest
from core_world import core_running
from journal_world import Gate, TappedStore
from memory_store import MemoryStore
from scripted import ScriptedModel, say

from holdfast_daemon.sessions.commands import INBOX_MAX, ClearQueue, Command, Continue, Inbox, Prompt, Recover
from holdfast_protocol.content import TextBlock
from holdfast_protocol.errors import Conflict, Draining, Overloaded, RpcError


def prompt() -> Prompt:
    return Prompt("c", (), content=(TextBlock(text="x"),), prompt_id=None, delivery="queue", model=None)


async def test_commands_come_out_in_the_order_they_came() -> None:
    inbox = Inbox()
    commands = [prompt(), Continue("c"), ClearQueue("c"), Recover("x"), prompt()]
    for command in commands:
        inbox.post(command)
    assert [await inbox.next() for _ in commands] == commands


async def test_who_waits_for_a_command_gets_the_next_one() -> None:
    inbox, found = Inbox(), []

    async def take() -> None:
        found.append(await inbox.next())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        command = prompt()
        inbox.submit(command)
    assert found == [command]


async def test_so_many_commands_wait_and_no_more_but_the_sessions_own_always_find_room() -> None:
    inbox = Inbox()
    for _ in range(INBOX_MAX):
        inbox.submit(prompt())
    with pytest.raises(Overloaded) as caught:
        inbox.submit(prompt())
    assert (caught.value.data.limit, caught.value.data.limit_value) == ("inbox_max", INBOX_MAX)
    inbox.post(Recover("x"))
    assert len(inbox) == INBOX_MAX + 1


async def test_clearing_the_queue_again_and_again_takes_one_place() -> None:
    """It comes with a cancel, which no limit on calls holds back."""
    inbox = Inbox()
    for _ in range(10_000):
        inbox.post(ClearQueue("c"))
    assert len(inbox) == 1
    inbox.submit(prompt())
    for _ in range(10):
        inbox.post(ClearQueue("c"))
    assert len(inbox) == 3


async def test_draining_gives_the_commands_somebody_waits_for() -> None:
    inbox = Inbox()
    command = prompt()
    inbox.submit(command)
    assert inbox.drain() == [command]
    assert len(inbox) == 0


async def test_a_command_is_answered_once_and_the_first_answer_counts() -> None:
    command: Command[int] = Command("c")
    command.finish(1)
    command.fail(Conflict("too late"))
    assert await command.answer() == 1


async def test_a_caller_who_gives_up_before_it_began_takes_the_command_back() -> None:
    command: Command[int] = Command("c")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await command.answer()
    assert command.abandoned


async def test_a_caller_who_gives_up_after_it_began_still_gets_the_true_answer() -> None:
    command: Command[int] = Command("c")
    command.begun = True
    answers: list[int] = []

    async def ask() -> None:
        answers.append(await command.answer())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        command.finish(7)
    assert answers == [7]
    assert not command.abandoned


async def test_a_prompt_taken_back_before_it_began_never_runs() -> None:
    gate = Gate()
    store = TappedStore(MemoryStore())
    model = ScriptedModel(say("first"), say("second"))
    async with core_running(store, catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        gate.close()
        store.before = gate
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.prompt, "first")
            await gate.reached()
            with anyio.move_on_after(0.01):
                await client.prompt("taken back")
            gate.open()
        await client.wait("r1")
        assert (await core.types()).count("prompt_received") == 1


async def test_who_waits_for_a_command_of_a_daemon_that_is_cancelled_is_answered() -> None:
    """Its caller cannot take it back once it began: were it forgotten, the caller would wait for ever."""
    gate = Gate()
    store = TappedStore(MemoryStore())
    refused: list[RpcError] = []
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks, core_running(store) as core:
            client = core.client()
            await client.create()
            gate.close()
            store.before = gate

            async def update() -> None:
                try:
                    await client.call("session/update", sessionId="s", title="new")
                except RpcError as error:
                    refused.append(error)

            tasks.start_soon(update)
            await gate.reached()
            tasks.cancel_scope.cancel()
            gate.open()
    assert [type(error) for error in refused] == [Draining]
