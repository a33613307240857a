"""Tools that the client runs (design 4: `tool/register`, `tool/call`, `tool/output`, `tool/complete`)."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator

import anyio
import pytest
from library_world import WAIT_S, Cuttable, client_of, daemon_in

from fakes.daemons import Home
from holdfast_client import aio
from holdfast_client.aio.hosting import current_call
from holdfast_protocol import events
from holdfast_protocol.content import ImageBlock, TextBlock
from holdfast_protocol.errors import Conflict, NotFound
from holdfast_protocol.methods.catalogue import HostedTool

pytestmark = pytest.mark.timeout(120)


def calling(*calls: tuple[str, object]) -> str:
    """Give a prompt whose run calls tools, one after the other."""
    lines = [f"  - call: {{tool: {name}, input: {json.dumps(arguments)}}}\n" for name, arguments in calls]
    return "script:\n" + "".join(lines) + "  - text: Done.\n"


def outcomes(result: aio.RunResult) -> list[object]:
    """Give what the calls of a run came to: a text, or an error's message."""
    found: list[object] = []
    for event in result.events:
        if isinstance(event, events.ToolCallCompleted):
            found.append(event.result[0].text if event.result else None)
        elif isinstance(event, events.ToolCallFailed):
            found.append(event.error.message)
    return found


async def test_a_function_is_called_with_the_models_arguments_and_its_result_goes_back(home: Home):
    async def add(x: int, y: int = 1) -> int:
        """Add."""
        return x + y

    def shout(text: str) -> str:
        """Shout."""
        return text.upper()

    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), mode="auto")
        assert await session.host_tools({"add": add, "shout": shout}) == 2
        with anyio.fail_after(WAIT_S):
            result = await session.run(
                calling(("add", {"x": 2}), ("add", {"x": 2, "y": 3}), ("shout", {"text": "hey"}))
            )
        assert outcomes(result) == ["3", "5", "HEY"]


async def test_the_session_knows_what_is_hosted(home: Home):
    async def add(x: int) -> int:
        """Add one."""
        return x + 1

    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        await session.host_tools({"add": aio.Tool(function=add, description="Add one to x.", kind="think")})
        listed = {tool.name: tool for tool in (await client.rpc.tool_list(session_id=session.id)).tools}
        assert listed["add"].hosted
        assert (listed["add"].description, listed["add"].kind) == ("Add one to x.", "think")
        await session.host_tools({})
        assert "add" not in {tool.name for tool in (await client.rpc.tool_list(session_id=session.id)).tools}


async def test_what_a_function_raises_is_the_models_to_know(home: Home):
    def fail(why: str) -> None:
        """Fail."""
        raise RuntimeError(why)

    async def fail_silently() -> None:
        """Fail."""
        raise ZeroDivisionError

    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), mode="auto")
        await session.host_tools({"fail": fail, "fail_silently": fail_silently})
        with anyio.fail_after(WAIT_S):
            result = await session.run(calling(("fail", {"why": "no reason"}), ("fail_silently", {})))
        assert outcomes(result) == ["RuntimeError: no reason", "ZeroDivisionError"]
        assert result.ok


async def test_input_that_does_not_fit_is_refused_before_the_function_runs(home: Home):
    called = []

    def count(n: int) -> None:
        """Count."""
        called.append(n)

    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), mode="auto")
        await session.host_tools({"count": count})
        with anyio.fail_after(WAIT_S):
            result = await session.run(calling(("count", {"n": "three"}), ("count", {"n": 3})))
        assert "`$.n`" in str(outcomes(result)[0])
        assert called == [3]


async def test_a_generators_pieces_stream_as_output_and_are_the_result(home: Home):
    def steps(n: int) -> Iterator[str]:
        """Step by step."""
        for step in range(n):
            yield f"step {step}\n"

    async def waves(n: int) -> AsyncIterator[str]:
        """Wave by wave."""
        for wave in range(n):
            yield f"wave {wave}\n"

    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), mode="auto")
        await session.host_tools({"steps": steps, "waves": waves})
        with anyio.fail_after(WAIT_S):
            result = await session.run(calling(("steps", {"n": 3}), ("waves", {"n": 2})))
        assert outcomes(result) == ["step 0\nstep 1\nstep 2\n", "wave 0\nwave 1\n"]
        output = await session.read(types=("tool_output",))
        assert "".join(event.text for event in output) == "".join(str(text) for text in outcomes(result))


async def test_content_blocks_are_given_as_they_are(home: Home):
    image = ImageBlock(mime_type="image/png", data="AAAA")

    async def picture() -> list:
        """Take a picture."""
        return [TextBlock(text="a picture"), image]

    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), mode="auto")
        await session.host_tools({"picture": picture})
        with anyio.fail_after(WAIT_S):
            result = await session.run(calling(("picture", {})))
        (completed,) = [event for event in result.events if isinstance(event, events.ToolCallCompleted)]
        assert completed.result[1] == image


async def test_a_cancelled_run_cancels_the_function(home: Home):
    began, ended = anyio.Event(), []

    async def wait() -> None:
        """Wait."""
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(anyio.current_time())

    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), mode="auto")
        await session.host_tools({"wait": wait})
        with anyio.fail_after(WAIT_S):
            async with session.stream(calling(("wait", {}))) as run:
                await began.wait()
                await session.cancel()
                assert (await run.result()).status == "cancelled"
            while client._parts.hosting.running:
                await anyio.lowlevel.checkpoint()
        assert len(ended) == 1


async def test_a_sync_function_that_blocks_holds_nobody_up(home: Home):
    release = threading.Event()

    def block() -> str:
        """Block."""
        release.wait(WAIT_S)
        return "released"

    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), mode="auto")
        await session.host_tools({"block": block})
        with anyio.fail_after(WAIT_S):
            async with session.stream(calling(("block", {}))) as run:
                async for event in run:
                    if isinstance(event, events.ToolCallStarted):
                        await client.rpc.ping()
                        release.set()
                result = await run.result()
        assert outcomes(result) == ["released"]


async def test_a_lost_connection_fails_the_call_and_the_tools_are_there_on_the_next(home: Home):
    began, cancelled = anyio.Event(), anyio.Event()

    async def wait() -> None:
        """Wait."""
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async def echo(text: str) -> str:
        """Echo."""
        return text

    async with daemon_in(home):
        route = Cuttable(home)
        async with aio.connect(route=route) as client:
            session = await client.create_session(str(home.work), mode="auto")
            await session.host_tools({"wait": wait, "echo": echo})
            with anyio.fail_after(WAIT_S):
                async with session.stream(calling(("wait", {}))) as run:
                    await began.wait()
                    route.cut()
                    result = await run.result()
                assert outcomes(result) == ["The client that ran the tool is gone."]
                await cancelled.wait()
                again = await session.run(calling(("echo", {"text": "still here"})))
            assert outcomes(again) == ["still here"]


async def test_tools_survive_many_cuts(home: Home):
    async def echo(text: str) -> str:
        """Echo."""
        return text

    async with daemon_in(home):
        route = Cuttable(home)
        async with aio.connect(route=route) as client:
            session = await client.create_session(str(home.work), mode="auto")
            await session.host_tools({"echo": echo})
            with anyio.fail_after(WAIT_S):
                for number in range(20):
                    await route.cut_and_dialled_again()
                    result = await session.run(calling(("echo", {"text": f"{number}"})))
                    assert outcomes(result) == [str(number)]


async def test_a_name_another_client_hosts_is_refused_and_the_tools_before_stay(home: Home):
    async def echo(text: str) -> str:
        """Echo."""
        return text

    async with daemon_in(home), client_of(home) as first, client_of(home) as second:
        session = await first.create_session(str(home.work), mode="auto")
        await session.host_tools({"echo": echo})
        with pytest.raises(Conflict):
            await second.session(session.id).host_tools({"echo": echo})
        with anyio.fail_after(WAIT_S):
            assert outcomes(await session.run(calling(("echo", {"text": "mine"})))) == ["mine"]


async def test_tools_of_a_session_that_does_not_exist_are_refused(home: Home):
    async with daemon_in(home), client_of(home) as client:
        with pytest.raises(NotFound):
            await client.session("nobody").host_tools({"echo": lambda: None})


async def test_a_hosted_session_that_is_closed_keeps_its_tools(home: Home):
    async def echo(text: str) -> str:
        """Echo."""
        return text

    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), mode="auto")
        await session.host_tools({"echo": echo})
        await session.close()
        with anyio.fail_after(WAIT_S):
            assert outcomes(await session.run(calling(("echo", {"text": "here"})))) == ["here"]


async def test_a_tool_that_the_program_registers_by_itself_is_left_to_the_program(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), mode="auto")
        tool = HostedTool(name="look", description="Looks.", input_schema={"type": "object"}, kind="read")
        calls = client.notifications("tool/call")
        await client.rpc.tool_register(session_id=session.id, tools=(tool,))
        with anyio.fail_after(WAIT_S):
            async with session.stream(calling(("look", {}))) as run:
                call = (await anext(calls)).params
                await client.rpc.ping()  # Time enough for the library to answer in its place.
                ended = await client.rpc.tool_complete(
                    session_id=session.id,
                    tool_call_id=call["toolCallId"],
                    result=(TextBlock(text="seen"),),
                )
                result = await run.result()
        assert (ended.accepted, outcomes(result)) == (True, ["seen"])


async def test_a_tool_that_is_cancelled_from_within_has_failed_and_nothing_else_has(home: Home):
    async def broken() -> str:
        """Wait for something that was given up."""
        raise asyncio.CancelledError

    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), mode="auto")
        await session.host_tools({"broken": broken})
        with anyio.fail_after(WAIT_S):
            result = await session.run(calling(("broken", {})))
            (failed,) = [event for event in result.events if isinstance(event, events.ToolCallFailed)]
            assert "StrayCancellation" in failed.error.message
            assert (await session.run("say still here")).text.endswith("still here")


async def test_a_tool_can_find_out_which_call_it_runs_for(home: Home):
    found = []

    async def look() -> str:
        found.append(current_call.get())
        return "seen"

    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), mode="auto")
        await session.host_tools({"look": look})
        with anyio.fail_after(WAIT_S):
            result = await session.run("script:\n  - call: {tool: look, input: {}}\n  - text: Done.\n")
    (started,) = [event for event in result.events if isinstance(event, events.ToolCallStarted)]
    assert [(call.session_id, call.tool_call_id) for call in found] == [(session.id, started.tool_call_id)]
    assert current_call.get() is None
