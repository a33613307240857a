"""Lost connections and daemons, unnoticed by the caller (failures.md D35: 100 drops, each event once)."""

import contextlib
import random
from typing import get_args

import anyio
import pytest
from library_world import HANG, TERMINAL, WAIT_S, Cuttable, Over, client_of, daemon_in, load, locations

from fakes.daemons import Home, ProcessDaemon
from holdfast_client import aio
from holdfast_client.errors import ClientClosed, ConnectionLost, DaemonNotRunning, VersionMismatch
from holdfast_protocol import events
from holdfast_protocol.errors import AuthRequired

pytestmark = pytest.mark.timeout(180)

CUTS = 100


async def cut_often(route: Cuttable, client: aio.Client, cuts: int, seed: int) -> None:
    """Break the connection again and again, at moments that differ: in a call, in a batch, while idle."""
    draw = random.Random(seed)
    for _ in range(cuts):
        for _ in range(draw.randrange(40)):
            await anyio.lowlevel.checkpoint()
        await route.cut_and_dialled_again()
        await client.wait_connected()


@pytest.mark.parametrize("over", get_args(Over))
async def test_a_stream_whose_connection_is_cut_100_times_has_no_gap_and_no_duplicate(home: Home, over: Over):
    async with daemon_in(home):
        route = Cuttable(home, over)
        async with aio.connect(route=route) as client:
            session = await client.create_session(str(home.work))
            seqs: list[int] = []
            last_seqs: list[int] = []

            async def read() -> None:
                async for event in session.events():
                    seqs.append(event.seq)
                    if isinstance(event, events.SessionUpdated):
                        return

            async def prompt(run_id: str) -> None:
                for number in range(40):
                    queued = await session.prompt(f"say number {number}")
                await cut_often(route, client, CUTS, seed=7)
                await session.cancel(run_id)
                await session.wait(prompt_id=queued.prompt_id)
                last_seqs.append((await session.update(title="the end")).seq)

            with anyio.fail_after(WAIT_S * 3):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(read)
                    run = await session.prompt(load(500_000, 5000))
                    tasks.start_soon(prompt, run.run_id)
            assert route.dialled >= CUTS + 1
            assert client.statistics().connections == route.dialled
            assert seqs == list(range(1, last_seqs[0] + 1))
            await each_prompt_was_received_once(session, 41)


async def each_prompt_was_received_once(session: aio.Session, count: int) -> None:
    received = await session.read(types=("prompt_received",))
    ids = [event.prompt_id for event in received]
    assert len(set(ids)) == len(ids) == count


async def test_a_mutating_call_whose_answer_was_lost_takes_effect_once(home: Home):
    async with daemon_in(home):
        route = Cuttable(home)
        async with aio.connect(route=route) as client:
            session = await client.create_session(str(home.work))
            for number in range(30):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(lambda n=number: session.update(title=f"title {n}"))
                    await anyio.lowlevel.checkpoint()
                    for _ in range(number % 10):
                        await anyio.lowlevel.checkpoint()
                    route.cut()
            updates = await session.read(types=("session_updated",))
            assert [event.title for event in updates] == [f"title {number}" for number in range(30)]
            assert route.dialled > 10


async def test_a_session_that_is_made_while_the_connection_breaks_is_made_once(home: Home):
    async with daemon_in(home):
        route = Cuttable(home)
        async with aio.connect(route=route) as client:
            for number in range(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(client.create_session, str(home.work))
                    for _ in range(number % 10 + 1):
                        await anyio.lowlevel.checkpoint()
                    route.cut()
            assert len([info async for info in client.sessions()]) == 20


async def test_a_wait_goes_on_over_connections(home: Home):
    async with daemon_in(home):
        route = Cuttable(home)
        async with aio.connect(route=route) as client:
            session = await client.create_session(str(home.work))
            run = await session.prompt(HANG)
            ended = []

            async def wait() -> None:
                ended.append(await session.wait(run_id=run.run_id))

            with anyio.fail_after(WAIT_S):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(wait)
                    await cut_often(route, client, 15, seed=1)
                    await session.cancel(run.run_id)
            assert (ended[0].done, ended[0].status) == (True, "cancelled")


async def test_a_cancel_that_names_no_run_is_not_made_twice(home: Home):
    async with daemon_in(home):
        route = Cuttable(home)
        async with aio.connect(route=route) as client:
            session = await client.create_session(str(home.work))
            client._caller._calls.take_frames = lambda: (  # The call is sent, and its connection is gone.
                route.cut(),
                type(client._caller._calls).take_frames(client._caller._calls),
            )[1]
            with pytest.raises(ConnectionLost) as caught:
                await session.cancel()
            assert caught.value.method == "session/cancel"
            assert caught.value.maybe_done


async def test_a_daemon_that_is_killed_and_started_again_is_not_noticed_by_a_reader(home: Home):
    with ProcessDaemon(home) as daemon:
        await daemon.start()
        async with client_of(home) as client:
            session = await client.create_session(str(home.work))
            first_server = client.server.server
            seqs, kinds = [], []
            await session.prompt(load(1_000_000, 20_000))
            with anyio.fail_after(WAIT_S * 2):
                async for event in session.events():
                    seqs.append(event.seq)
                    kinds.append(events.type_of(event))
                    if event.seq == 2000:
                        await daemon.kill()
                        await daemon.start()
                    if kinds[-1] in TERMINAL:
                        break
            assert seqs == list(range(1, seqs[-1] + 1))
            assert kinds[-1] == "run_interrupted"
            assert client.server.server.instance_id != first_server.instance_id
            assert client.server.server.pid == daemon.pid


async def test_ports_may_change_over_a_restart(home: Home):
    with ProcessDaemon(home) as daemon:
        await daemon.start()
        async with aio.connect(route=Cuttable(home, "tcp")) as client:
            session = await client.create_session(str(home.work))
            before = daemon.endpoint.tcp
            await daemon.kill()
            await daemon.start()
            assert daemon.endpoint.tcp != before
            assert (await session.get()).session.session_id == session.id


async def test_calls_made_while_the_daemon_is_away_are_made_when_it_is_back(home: Home):
    with ProcessDaemon(home) as daemon:
        await daemon.start()
        async with client_of(home) as client:
            session = await client.create_session(str(home.work))
            await daemon.kill()
            results = {}

            async def run(number: int) -> None:
                results[number] = await session.run(f"say {number}")

            with anyio.fail_after(WAIT_S):
                async with anyio.create_task_group() as tasks:
                    for number in range(5):
                        tasks.start_soon(run, number)
                    await anyio.wait_all_tasks_blocked()
                    assert results == {}
                    await daemon.start()
            assert {result.status for result in results.values()} == {"completed"}
            await each_prompt_was_received_once(session, 5)


async def test_a_daemon_that_does_not_come_back_in_time_is_a_typed_error(home: Home):
    async with daemon_in(home):
        route = Cuttable(home)
        async with aio.connect(route=route, give_up_s=0.2) as client:
            session = await client.create_session(str(home.work))
            route.refuse = True
            route.cut()
            with pytest.raises(ConnectionLost, match="no daemon came back within") as caught:
                await session.get()
            assert isinstance(caught.value.__cause__, DaemonNotRunning)
            assert not client.connected


async def test_one_failed_reconnect_does_not_poison_later_calls(home: Home):
    async with daemon_in(home):
        route = Cuttable(home)
        async with aio.connect(route=route, give_up_s=0.1) as client:
            session = await client.create_session(str(home.work))
            stream = session.events()
            await anext(stream)
            route.refuse = True
            route.cut()
            with pytest.raises(ConnectionLost):
                await session.get()
            with pytest.raises(ConnectionLost):
                await anext(stream)
            route.refuse = False
            with anyio.fail_after(WAIT_S):
                assert (await session.update(title="back")).seq == 2
                assert (await anext(stream)).seq == 2


async def test_a_client_that_only_answers_and_hosts_is_back_when_the_daemon_is(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("holdfast_client.aio.keeper.TRY_AGAIN_S", 0.02)

    async def ping() -> str:
        """Ping."""
        return "pong"

    script = "script:\n  - call: {tool: ping, input: {}}\n  - text: Done.\n"
    async with daemon_in(home):
        route = Cuttable(home)
        async with (
            aio.connect(route=route, give_up_s=0.05, answer=lambda _ask: "allow") as passive,
            client_of(home) as active,
        ):
            session = await passive.create_session(str(home.work))
            await session.host_tools({"ping": ping})
            route.refuse = True
            route.cut()
            with pytest.raises(ConnectionLost):
                await session.get()
            route.refuse = False
            with anyio.fail_after(WAIT_S):
                await passive.wait_connected()
                result = await active.session(session.id).run(script)
            (completed,) = [event for event in result.events if isinstance(event, events.ToolCallCompleted)]
            assert completed.result[0].text == "pong"


async def test_the_library_starts_the_daemon_again_if_it_may(home: Home):
    with ProcessDaemon(home) as daemon:
        await daemon.start()
        route = Cuttable(home, may_start=True)
        asked = []
        original = route._shared.dial

        async def dial(*, start: bool):
            asked.append(start)
            if start:
                await daemon.start()
            return await original(start=False)

        route._shared.dial = dial
        async with aio.connect(route=route) as client:
            await daemon.kill()
            await client.rpc.ping()
        assert asked[0] is False
        assert True in asked


async def test_a_daemon_that_stops_on_purpose_is_not_started_again_behind_its_back(home: Home):
    with ProcessDaemon(home) as daemon:
        await daemon.start()
        route = Cuttable(home, may_start=True)
        asked = []
        original = route._shared.dial

        async def dial(*, start: bool):
            asked.append(start)
            return await original(start=False)

        route._shared.dial = dial
        async with aio.connect(route=route, give_up_s=0.3) as client:
            await client.rpc.daemon_shutdown()
            await daemon.exited()
            stream = client.session("s").events()
            with pytest.raises(ConnectionLost):
                await anext(stream)
            assert True not in asked


async def test_another_version_after_a_restart_is_told_to_who_calls(home: Home, monkeypatch):
    async with daemon_in(home):
        route = Cuttable(home)
        async with aio.connect(route=route, require="holdfast>=0.1,<0.2") as client:
            monkeypatch.setattr("holdfast_daemon.methods.daemon.VERSION", "0.7.0")
            route.cut()
            with anyio.fail_after(WAIT_S), pytest.raises(VersionMismatch) as caught:
                await client.create_session(str(home.work))
            assert caught.value.found == "0.7.0"


async def test_a_token_that_is_no_longer_valid_is_told_to_who_calls(home: Home):
    async with daemon_in(home) as daemon:
        route = Cuttable(home)
        async with aio.connect(route=route, give_up_s=0.3) as client:
            record = home.runtime / "daemon-v1.json"
            record.write_text(record.read_text().replace(daemon.endpoint.token, "wrong"))
            route.cut()
            with anyio.fail_after(WAIT_S), pytest.raises(AuthRequired):
                await client.create_session(str(home.work))


async def test_leaving_the_client_ends_what_waits_in_other_tasks(home: Home):
    errors = []

    async def expect_closed(waiting) -> None:
        try:
            await waiting
        except ClientClosed as closed:
            errors.append(closed)

    async def read(session: aio.Session) -> None:
        async for _ in session.events():
            pass

    async with daemon_in(home):
        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks, client_of(home) as client:
                session = await client.create_session(str(home.work))
                run = await session.prompt(HANG)
                tasks.start_soon(expect_closed, session.wait(run_id=run.run_id))
                tasks.start_soon(expect_closed, read(session))
                await anyio.wait_all_tasks_blocked()
        with pytest.raises(ClientClosed):
            await session.get()
    assert len(errors) == 2


async def test_leaving_the_client_leaves_the_run_alone(home: Home):
    async with daemon_in(home):
        async with client_of(home) as client:
            session = await client.create_session(str(home.work))
            run = await session.prompt(HANG)
        async with client_of(home) as client:
            session = client.session(session.id)
            snapshot = (await session.get()).snapshot
            assert snapshot.run is not None
            assert (snapshot.run.run_id, snapshot.status) == (run.run_id, "running")
            await session.cancel()


def test_locations_are_those_of_the_home(home: Home):
    assert locations(home).record == str(home.runtime / "daemon-v1.json")


async def test_a_call_made_while_the_library_looks_for_a_daemon_in_the_background_is_not_forgotten(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("holdfast_client.aio.keeper.TRY_AGAIN_S", 0.01)
    async with daemon_in(home):
        route = Cuttable(home)
        async with aio.connect(route=route, give_up_s=0.05) as client:
            route.refuse = True
            route.cut()
            for _ in range(20):  # Some of them while it is dialling.
                with anyio.fail_after(WAIT_S), pytest.raises(ConnectionLost):
                    await client.rpc.model_list()
            route.refuse = False
            with anyio.fail_after(WAIT_S):
                while not client.connected:  # On a busy machine connecting takes longer than it tries.
                    with contextlib.suppress(ConnectionLost):
                        await client.rpc.model_list()


async def test_waiting_for_a_connection_ends_with_the_client(home: Home):
    errors = []

    async def wait(client: aio.Client) -> None:
        try:
            await client.wait_connected()
        except ClientClosed as closed:
            errors.append(closed)

    async with daemon_in(home):
        route = Cuttable(home)
        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks, aio.connect(route=route) as client:
                await client.wait_connected()
                route.refuse = True
                route.cut()
                while client.connected:
                    await anyio.lowlevel.checkpoint()
                tasks.start_soon(wait, client)
                await anyio.wait_all_tasks_blocked()
    assert len(errors) == 1
