"""A session in a program's hands: prompts, runs, queue, settings (users.md E7: prompts are idempotent)."""

import json

import anyio
import pytest
from library_world import HANG, WAIT_S, client_of, daemon_in

from fakes.daemons import Home
from holdfast_client.errors import RunNotCompleted
from holdfast_protocol import events
from holdfast_protocol.content import ResourceLinkBlock, TextBlock
from holdfast_protocol.errors import Busy, Conflict, IdempotencyConflict, InvalidParams, NotFound

pytestmark = pytest.mark.timeout(120)


async def test_a_run_gives_text_stop_reason_usage_and_events(home: Home):
    async with daemon_in(home), client_of(home) as client:
        with anyio.fail_after(WAIT_S):
            result = await client.run("say hello world", cwd=str(home.work))
        assert (result.status, result.stop_reason) == ("completed", "end_turn")
        assert result.text.endswith("hello world")
        assert result.usage.output > 0
        types = [events.type_of(event) for event in result.events]
        assert types[:2] == ["prompt_received", "run_started"]
        assert types[-1] == "run_completed"
        assert "token_delta" not in types


async def test_a_stream_gives_the_runs_events_as_they_come(home: Home):
    async with daemon_in(home), client_of(home) as client:
        with anyio.fail_after(WAIT_S):
            async with client.stream("count 20", cwd=str(home.work)) as run:
                text = "".join([event.text async for event in run if isinstance(event, events.TokenDelta)])
                result = await run.result()
        assert text.endswith(result.text[-20:])
        assert run.admitted.run_id == run.run_id == result.run_id


async def test_content_may_be_blocks(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        link = ResourceLinkBlock(uri="file:///x.py")
        with anyio.fail_after(WAIT_S):
            await session.run([TextBlock(text="say hi"), link])
        (received,) = await session.read(types=("prompt_received",))
        assert received.content == (TextBlock(text="say hi"), link)


async def test_a_run_that_failed_is_a_result_and_raises_only_when_asked(home: Home):
    script = "script:\n  - error: {kind: overloaded, message: Too many people ask.}\n"
    async with daemon_in(home), client_of(home) as client:
        with anyio.fail_after(WAIT_S):
            result = await client.run(script, cwd=str(home.work))
        assert (result.status, result.error.kind) == ("failed", "overloaded")
        with pytest.raises(RunNotCompleted, match="Too many people ask"):
            result.check()


async def test_a_cancelled_run_is_a_result(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        with anyio.fail_after(WAIT_S):
            async with session.stream(HANG) as run:
                assert (await session.cancel(run.admitted.run_id)).cancelled
                assert (await run.result()).status == "cancelled"


async def test_the_same_prompt_id_is_the_same_run_however_often_it_is_asked_for(home: Home):
    async with daemon_in(home):
        async with client_of(home) as client:
            session = await client.create_session(str(home.work))
            with anyio.fail_after(WAIT_S):
                first = await session.run("say once", prompt_id="p1")
                await session.run("say something else")
        async with client_of(home) as client:  # Another client, after a restart of the program.
            with anyio.fail_after(WAIT_S):
                second = await client.session(session.id).run("say once", prompt_id="p1")
            with pytest.raises(IdempotencyConflict):
                await client.session(session.id).prompt("say twice", prompt_id="p1")
        assert second == first


async def test_a_session_id_of_ones_own_gives_the_same_session_again(home: Home):
    async with daemon_in(home):
        async with client_of(home) as client:
            first = await client.create_session(str(home.work), session_id="mine")
        async with client_of(home) as client:
            second = await client.create_session(str(home.work), session_id="mine")
        assert (first.id, first.epoch) == (second.id, second.epoch) == ("mine", second.epoch)


async def test_queued_prompts_can_be_seen_changed_and_removed(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        run = await session.prompt(HANG)
        for number in range(3):
            assert (await session.prompt(f"say {number}", prompt_id=f"p{number}")).position == number + 1
        await session.queue_update("p2", content="say two", position=1)
        queue = await session.queue()
        assert [prompt.prompt_id for prompt in queue.prompts] == ["p2", "p0", "p1"]
        assert queue.prompts[0].content == (TextBlock(text="say two"),)
        async with session.stream("say last", prompt_id="p3") as waiting:
            await session.queue_remove("p3")
            with anyio.fail_after(WAIT_S):
                assert (await waiting.result()).status == "removed"
        await session.queue_remove()
        assert (await session.queue()).prompts == ()
        await session.cancel(run.run_id)


async def test_a_busy_session_can_refuse_a_prompt(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        run = await session.prompt(HANG)
        with pytest.raises(Busy):
            await session.run("say no", delivery="reject")
        await session.cancel(run.run_id)


async def test_a_steered_prompt_is_followed_to_the_end_of_the_run_it_joined(home: Home):
    script = (
        "script:\n"
        "  - text: {value: wait, delta_chars: 1, delay_ms: 5, repeat: 20}\n"
        "    call: {tool: list, input: {path: .}}\n"
        "  - text: Done.\n"
    )
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        with anyio.fail_after(WAIT_S):
            first = await session.prompt(script)
            steered = await session.run("say steered", delivery="steer")
        assert steered.run_id == first.run_id
        assert steered.ok


async def test_settings_change_only_where_they_are_given(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), title="old", meta={"a": 1})
        await session.update(title="new", mode="plan", unattended="deny")
        settings = (await session.get()).snapshot.settings
        assert (settings.title, settings.mode, settings.unattended, settings.meta) == (
            "new",
            "plan",
            "deny",
            {"a": 1},
        )
        with pytest.raises(Conflict):
            await session.update(title="newer", expect=1)


async def test_sessions_are_listed_closed_forked_exported_and_deleted(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), title="one")
        with anyio.fail_after(WAIT_S):
            result = await session.run("say hello")
        fork = await session.fork(at=result.events[-1].seq, title="two")
        assert {info.title async for info in client.sessions()} == {"one", "two"}
        await session.close()
        lines = [json.loads(line) async for line in session.export()]
        assert lines[0]["format"] == "holdfast-export"
        assert [line["seq"] for line in lines[1:]] == list(range(1, len(lines)))
        await fork.delete()
        with pytest.raises(NotFound):
            await fork.get()


async def test_long_lists_are_iterated_page_by_page(home: Home):
    async with daemon_in(home), client_of(home) as client:
        made = {(await client.create_session(str(home.work))).id for _ in range(105)}
        assert {info.session_id async for info in client.sessions(cwd=str(home.work))} == made


async def test_a_failed_run_can_be_taken_up(home: Home):
    script = "script:\n  - error: {kind: overloaded, message: Later.}\n"
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        with anyio.fail_after(WAIT_S):
            await session.run(script)
            again = await session.continue_()
            waited = await session.wait(run_id=again.run_id)
        assert waited.done


async def test_waiting_is_bounded(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        run = await session.prompt(HANG)
        waited = await session.wait(run_id=run.run_id, timeout_s=0.02)
        assert (waited.done, waited.status) == (False, "running")
        await session.cancel(run.run_id)


async def test_a_directory_that_does_not_exist_is_refused_with_the_field(home: Home):
    async with daemon_in(home), client_of(home) as client:
        with pytest.raises(InvalidParams) as caught:
            await client.create_session(str(home.path / "nowhere"))
        assert caught.value.data.path == "$.cwd"
