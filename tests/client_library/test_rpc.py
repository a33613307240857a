"""The method table as methods, async and blocking."""

import inspect

import anyio.to_thread
import pytest
from library_world import client_of, daemon_in, locations

from fakes.daemons import Home
from holdfast_client import aio, blocking
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Cost, Usage
from holdfast_protocol.methods import CALLS
from holdfast_protocol.methods.session import SessionCreateResult, SessionListResult
from holdfast_protocol.methods.usage import UsageGetResult

NAMES = [name.replace("/", "_").replace(".", "_") for name in CALLS if name != "initialize"]


@pytest.mark.parametrize("library", [aio, blocking])
def test_every_call_of_the_table_is_a_method_and_nothing_else_is(library):
    public = {name for name in vars(library.Rpc) if not name.startswith("_")} - {
        "perform",
        "portal",
        "original",
    }
    assert public == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_method_says_what_it_calls_and_what_that_is_for(name: str):
    method = getattr(aio.Rpc, name)
    called = method.__doc__.split("`")[1]
    assert called.replace("/", "_").replace(".", "_") == name == method.__name__
    assert CALLS[called].summary in method.__doc__
    assert inspect.getdoc(getattr(blocking.Rpc, name)) == method.__doc__


async def test_params_are_keywords_and_results_are_typed(home: Home):
    async with daemon_in(home), client_of(home) as client:
        made = await client.rpc.session_create(cwd=str(home.work), title="first", meta={"a": 1})
        assert isinstance(made, SessionCreateResult)
        listed = await client.rpc.session_list(cwd=str(home.work))
        assert isinstance(listed, SessionListResult)
        assert [info.title for info in listed.sessions] == ["first"]
        await client.rpc.session_prompt(
            session_id=made.session_id, content=(TextBlock(text="say hi"),), prompt_id="p1"
        )
        waited = await client.rpc.session_wait(session_id=made.session_id, prompt_id="p1")
        assert waited.status == "completed"
        document = await client.rpc.rpc_discover()
        assert document["openrpc"]


async def test_a_misspelt_param_is_an_error_here(home: Home):
    async with daemon_in(home), client_of(home) as client:
        with pytest.raises(TypeError):
            await client.rpc.session_create(dir=str(home.work))


async def test_sub_agents_are_listed_by_their_parent_alone_in_both_libraries(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), mode="auto")
        script = "script:\n  - call: {tool: delegate, input: {task: say done}}\n  - text: Done."
        assert (await session.run(script)).ok
        assert [info.session_id async for info in client.sessions()] == [session.id]
        children = [info async for info in client.sessions(parent=session.id)]
        assert [info.parent for info in children] == [session.id]

        def ask() -> list[str]:
            with blocking.connect("attach", locations=locations(home), autostart=False) as other:
                assert other.rpc.trust_list().directories == ()
                return [info.session_id for info in other.sessions(parent=session.id)]

        assert await anyio.to_thread.run_sync(ask) == [info.session_id for info in children]


async def test_usage_is_typed_in_both_libraries(home: Home):
    async with daemon_in(home), client_of(home) as client:
        made = await client.rpc.session_create(cwd=str(home.work))
        script = "script:\n  - text: Hello.\n    usage: {input: 3}\n    cost: 0.25"
        await client.rpc.session_prompt(
            session_id=made.session_id, content=(TextBlock(text=script),), prompt_id="p1"
        )
        await client.rpc.session_wait(session_id=made.session_id, prompt_id="p1")
        found = await client.rpc.usage_get(session_id=made.session_id, since=0)
        assert isinstance(found, UsageGetResult)
        assert (found.total.runs, found.total.reported.usage) == (1, Usage(input=3))
        assert [(item.model, item.reported.costs) for item in found.models] == [
            ("offline/rehearsal", (Cost(amount=0.25),))
        ]

        def ask() -> UsageGetResult:
            with blocking.connect("attach", locations=locations(home), autostart=False) as other:
                return other.rpc.usage_get()

        assert (await anyio.to_thread.run_sync(ask)).total == found.total
