"""Keys of mutating calls: the same key and params give the same result, whatever happens in between."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from core_world import Client, Core, core_running, text
from hypothesis import given
from hypothesis import strategies as st
from journal_world import Gate, TappedStore, open_sqlite
from memory_store import MemoryStore
from scripted import ScriptedModel, Stage, say

from holdfast_daemon.methods.idempotency import InFlight, digest_of, key_of
from holdfast_daemon.models.base import ModelError
from holdfast_daemon.sessions.commands import Idempotency
from holdfast_protocol.content import TextBlock
from holdfast_protocol.errors import Conflict, IdempotencyConflict
from holdfast_protocol.events import ErrorInfo
from holdfast_protocol.methods.prompt import SessionPromptParams
from holdfast_protocol.methods.session import SessionCreateParams, SessionUpdateParams

# Digests ------------------------------------------------------------------------------------------------


def prompt_params(**changes: Any) -> SessionPromptParams:
    fields: dict[str, Any] = {"session_id": "s", "content": (TextBlock(text="x"),), **changes}
    return SessionPromptParams(**fields)


def test_a_digest_does_not_depend_on_spelling_or_the_key() -> None:
    plain = digest_of(prompt_params())
    assert digest_of(prompt_params(key="k")) == plain
    assert digest_of(prompt_params(delivery="queue")) == plain
    spelled = msgspec.convert(
        {"delivery": "queue", "content": [{"text": "x", "type": "text"}], "sessionId": "s", "later": 1},
        SessionPromptParams,
    )
    assert digest_of(spelled) == plain
    assert len(plain) == 32


@pytest.mark.parametrize(
    "change",
    [
        {"session_id": "t"},
        {"content": (TextBlock(text="y"),)},
        {"prompt_id": "p"},
        {"delivery": "reject"},
        {"model": "m"},
    ],
)
def test_any_other_param_changes_the_digest_unless_it_does_not_count(change: dict[str, Any]) -> None:
    assert digest_of(prompt_params(**change)) != digest_of(prompt_params())
    (name,) = change
    assert digest_of(prompt_params(**change), name) == digest_of(prompt_params(), name)


def test_what_is_absent_and_what_is_null_differ() -> None:
    absent = SessionUpdateParams(session_id="s")
    assert digest_of(absent) != digest_of(SessionUpdateParams(session_id="s", meta=None))
    assert digest_of(absent) == digest_of(SessionUpdateParams(session_id="s", key="k"))


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), min_size=2, max_size=5))
def test_the_order_of_members_does_not_matter(meta: dict[str, Any]) -> None:
    turned = dict(reversed(meta.items()))
    first, second = (SessionCreateParams(cwd="/", meta=value) for value in (meta, turned))
    assert digest_of(first) == digest_of(second)


def test_a_call_without_a_key_has_none() -> None:
    params = prompt_params(key="k")
    assert key_of("c", "session/prompt", params, None) == ()
    (key,) = key_of("c", "session/prompt", params, "k")
    assert key == Idempotency(client="c", method="session/prompt", key="k", digest=digest_of(params))


# In flight -----------------------------------------------------------------------------------------------


async def test_calls_with_a_key_in_common_come_one_after_the_other_and_others_do_not_wait() -> None:
    in_flight = InFlight()
    keys = [Idempotency(client="c", method="m", key=name, digest=b"") for name in "abc"]
    inside: list[str] = []
    gates = {name: anyio.Event() for name in ("ab", "bc", "c", "none")}

    async def call(name: str, *mine: Idempotency) -> None:
        async with in_flight.alone(mine):
            inside.append(name)
            await gates[name].wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, "ab", keys[0], keys[1])
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(call, "bc", keys[1], keys[2])
        tasks.start_soon(call, "none")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(call, "c", keys[2])
        await anyio.wait_all_tasks_blocked()
        assert inside == ["ab", "none", "c"]
        gates["ab"].set()
        await anyio.wait_all_tasks_blocked()
        assert inside == ["ab", "none", "c"]
        gates["c"].set()
        await anyio.wait_all_tasks_blocked()
        assert inside == ["ab", "none", "c", "bc"]
        for gate in gates.values():
            gate.set()


async def test_a_key_is_let_go_of_when_its_call_fails_or_is_cancelled() -> None:
    in_flight = InFlight()
    keys = (Idempotency(client="c", method="m", key="k", digest=b""),)
    with pytest.raises(ZeroDivisionError):
        async with in_flight.alone(keys):
            raise ZeroDivisionError
    with anyio.CancelScope() as scope:
        async with in_flight.alone(keys):
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    with anyio.fail_after(5):
        async with in_flight.alone(keys):
            pass


# Each mutating method ---------------------------------------------------------------------------------------


async def sessions_of(client: Client) -> set[str]:
    return {row["sessionId"] for row in (await client.call("session/list"))["sessions"]}


Prepare = Callable[[Core, Client], Any]


async def nothing(_core: Core, _client: Client) -> None:
    return None


async def a_session(_core: Core, client: Client) -> None:
    await client.create()


async def a_failed_run(_core: Core, client: Client) -> None:
    await client.create()
    await client.run("fail")


CALLS: dict[str, tuple[Prepare, dict[str, Any], dict[str, Any]]] = {
    "session/create": (nothing, {"cwd": "/"}, {"title": "other"}),
    "session/prompt": (a_session, {"sessionId": "s", "content": text("x")}, {"content": text("y")}),
    "session/update": (a_session, {"sessionId": "s", "title": "new"}, {"title": "other"}),
    "session/close": (a_session, {"sessionId": "s"}, {"ifIdle": True}),
    "session/delete": (a_session, {"sessionId": "s"}, {"sessionId": "t"}),
    "session/fork": (a_session, {"sessionId": "s"}, {"title": "other"}),
    "session/continue": (a_failed_run, {"sessionId": "s"}, {}),
}


def model() -> ScriptedModel:
    return ScriptedModel([ModelError(ErrorInfo(kind="overloaded", message="busy"))], say("on"))


@pytest.mark.parametrize("method", CALLS)
async def test_the_same_key_and_params_give_the_same_result_over_a_restart(
    method: str, tmp_path: Path
) -> None:
    prepare, params, _ = CALLS[method]
    catalogue = model().catalogue()
    async with core_running(open_sqlite(tmp_path), catalogue=catalogue) as core:
        client = core.client("me")
        await prepare(core, client)
        first = await client.call(method, **params, key="k")
        again = await client.call(method, **params, key="k")
        if method in ("session/prompt", "session/continue"):
            await client.wait(first["runId"])
        sessions = len((await client.call("session/list"))["sessions"])
    async with core_running(open_sqlite(tmp_path), catalogue=catalogue) as core:
        after = await core.client("me").call(method, **params, key="k")
        assert len((await core.client().call("session/list"))["sessions"]) == sessions
    assert "replayed" not in first
    assert again == after == {**first, "replayed": True}


@pytest.mark.parametrize("method", [name for name, row in CALLS.items() if row[2]])
async def test_the_same_key_with_other_params_is_a_conflict_and_does_nothing(method: str) -> None:
    prepare, params, other = CALLS[method]
    async with core_running(catalogue=model().catalogue()) as core:
        client = core.client("me")
        await prepare(core, client)
        await client.create("t")
        await client.call(method, **params, key="k")
        before = await sessions_of(client)
        with pytest.raises(IdempotencyConflict) as caught:
            await client.call(method, **{**params, **other}, key="k")
        assert (caught.value.data.id, caught.value.data.resource) == ("k", method)
        assert await sessions_of(client) == before


async def test_a_key_belongs_to_its_client_and_its_method() -> None:
    async with core_running() as core:
        mine, theirs = core.client("me"), core.client("they")
        first = await mine.call("session/create", cwd="/", key="k")
        second = await theirs.call("session/create", cwd="/", key="k")
        assert first["sessionId"] != second["sessionId"]
        forked = await mine.call("session/fork", sessionId=first["sessionId"], key="k")
        assert "replayed" not in forked


async def test_two_equal_calls_at_once_do_it_once() -> None:
    gate = Gate()
    store = TappedStore(MemoryStore())
    real = store.inner.create_session

    def wait_and_create(*args: Any, **options: Any) -> int:
        gate()
        return real(*args, **options)

    store.inner.create_session = wait_and_create
    results: list[Any] = []
    async with core_running(store) as core:
        gate.close()

        async def create() -> None:
            results.append(await core.client("me").call("session/create", cwd="/", key="k"))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(create)
            await gate.reached()
            await anyio.wait_all_tasks_blocked()
            gate.open()
        assert len((await core.client().call("session/list"))["sessions"]) == 1
    assert sorted(result.get("replayed", False) for result in results) == [False, True, True, True, True]
    assert len({result["sessionId"] for result in results}) == 1


# Ids a client chooses --------------------------------------------------------------------------------------


async def test_a_chosen_prompt_id_is_anybodys_key() -> None:
    """The same prompt sent again over another connection, or by another client, is one prompt."""
    stage = Stage()
    async with core_running(catalogue=ScriptedModel([stage, *say("x")]).catalogue()) as core:
        mine, theirs = core.client("me"), core.client("they")
        await mine.create()
        first = await mine.prompt("go", promptId="p")
        assert await theirs.prompt("go", promptId="p") == {**first, "replayed": True}
        assert await theirs.prompt("go", promptId="p", delivery="reject") == {**first, "replayed": True}
        for other in ({"content": text("another")}, {"model": "test/scripted"}):
            params = {"sessionId": "s", "content": text("go"), "promptId": "p", **other}
            with pytest.raises(IdempotencyConflict):
                await mine.call("session/prompt", **params)
        stage.go()
        await mine.wait("r1")
        assert (await core.types()).count("prompt_received") == 1


async def test_a_chosen_session_id_is_anybodys_key() -> None:
    async with core_running() as core:
        first = await core.client("me").create("mine", title="t")
        assert await core.client("they").create("mine", title="t") == {**first, "replayed": True}
        with pytest.raises((IdempotencyConflict, Conflict)):
            await core.client("they").create("mine", title="other")
        forked = await core.client("me").call("session/fork", sessionId="mine", newSessionId="f")
        again = await core.client("they").call("session/fork", sessionId="mine", newSessionId="f")
        assert again == {**forked, "replayed": True}


async def test_a_deleted_session_is_not_given_back_by_the_call_that_made_it() -> None:
    async with core_running() as core:
        client = core.client("me")
        await client.create("mine")
        await client.call("session/delete", sessionId="mine")
        with pytest.raises(Conflict):
            await client.create("mine")


async def test_a_refused_call_is_not_remembered() -> None:
    async with core_running() as core:
        client = core.client("me")
        await client.create()
        with pytest.raises(Conflict):
            await client.call("session/update", sessionId="s", title="new", expect=9, key="k")
        done = await client.call("session/update", sessionId="s", title="new", expect=1, key="k2")
        assert done == {"seq": 2}
        assert await client.call("session/update", sessionId="s", title="x", key="k") == {"seq": 3}
