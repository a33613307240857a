"""The blocking library: the same methods, without an event loop (house style 7: one core, not copies)."""

import contextlib
import inspect
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import anyio
import pytest
from library_world import HANG, WAIT_S, Cuttable, load, locations

from fakes.daemons import Home, ProcessDaemon
from holdfast_client import aio, blocking
from holdfast_client.errors import ClientClosed, DaemonNotRunning
from holdfast_protocol import events
from holdfast_protocol.errors import NotFound
from holdfast_protocol.methods.session import SessionCreateResult

pytestmark = pytest.mark.timeout(120)

CUTS = 100

WRITE = 'script:\n  - call: {tool: write, input: {path: out.txt, content: "written"}}\n  - text: Done.\n'

TWINS = [
    (aio.Client, blocking.Client, {"restore", "lost", "notified"}),
    (aio.Session, blocking.Session, set()),
    (aio.Rpc, blocking.Rpc, {"perform"}),
    (aio.Run, blocking.Run, {"receive_some"}),
    (
        aio.EventStream,
        blocking.EventStream,
        {"fill", "finish", "resume", "needs_page", "is_live", "is_ended", "receive_nowait", "receive_some"},
    ),
]


def methods(library_class: type) -> dict[str, Callable[..., object]]:
    """Give a class's public methods, inherited ones too."""
    names = [name for name in dir(library_class) if not name.startswith("_")]
    found = {name: inspect.getattr_static(library_class, name) for name in names}
    return {name: member for name, member in found.items() if inspect.isroutine(member)}


def parameters(method: Callable[..., object]) -> list[inspect.Parameter]:
    return list(inspect.signature(method).parameters.values())


both = pytest.mark.parametrize(
    ("original", "twin", "inner"), TWINS, ids=lambda item: getattr(item, "__name__", None)
)


@both
def test_every_public_method_has_a_twin_and_no_twin_is_without_original(original, twin, inner):
    assert set(methods(twin)) == set(methods(original)) - inner


@both
def test_twins_take_the_same_parameters(original, twin, inner):
    bounded = {"receive"}  # Who blocks cannot be cancelled, so its twin takes a time.
    differing = {
        name
        for name in set(methods(original)) - inner - bounded
        if parameters(methods(original)[name]) != parameters(methods(twin)[name])
    }
    assert differing == set()


def test_connecting_takes_the_same_parameters():
    assert parameters(blocking.connect) == parameters(aio.connect)


@pytest.fixture
def daemon(home: Home) -> Iterator[ProcessDaemon]:
    with ProcessDaemon(home) as made:
        anyio.run(made.start)
        yield made


@pytest.fixture
def client(home: Home, daemon: ProcessDaemon) -> Iterator[blocking.Client]:
    with blocking.connect("attach", locations=locations(home), autostart=False) as connected:
        assert connected.server.server.pid == daemon.pid
        yield connected


def test_a_run_is_one_call(home: Home, client: blocking.Client):
    result = client.run("say hello", cwd=str(home.work))
    assert result.ok
    assert result.text.endswith("hello")


def test_a_run_can_be_iterated(home: Home, client: blocking.Client):
    with client.stream("count 30", cwd=str(home.work)) as run:
        assert run.admitted is not None
        seqs = [event.seq for event in run]
        result = run.result()
    assert seqs == list(range(seqs[0], seqs[-1] + 1))
    assert (result.run_id, result.status) == (run.run_id, "completed")


def test_events_can_be_iterated_from_a_cursor_and_live(home: Home, client: blocking.Client):
    session = client.create_session(str(home.work), title="t")
    session.run("say one")
    stream, seqs = session.events(), []
    session.prompt(load(3000, 200_000))
    ends = 0
    for event in stream:
        seqs.append(event.seq)
        assert stream.cursor >= event.seq
        ends += isinstance(event, events.RunCompleted)
        if ends == 2:
            break
    assert seqs == list(range(1, seqs[-1] + 1))
    assert next(session.events(after=seqs[-1] - 1)).seq == seqs[-1]


def test_waiting_for_an_event_can_be_bounded(home: Home, client: blocking.Client):
    session = client.create_session(str(home.work))
    with session.events(after="head") as stream:
        with pytest.raises(TimeoutError):
            stream.receive(timeout_s=0.01)
        session.update(title="now")
        assert isinstance(stream.receive(timeout_s=WAIT_S), events.SessionUpdated)


def test_calls_are_typed_and_refusals_have_their_class(home: Home, client: blocking.Client):
    assert isinstance(client.rpc.session_create(cwd=str(home.work)), SessionCreateResult)
    with pytest.raises(NotFound):
        client.session("nobody").get()
    assert client.call("daemon/status")["state"] == "serving"


def test_lists_are_iterated(home: Home, client: blocking.Client):
    made = [client.create_session(str(home.work)).id for _ in range(3)]
    assert {info.session_id for info in client.sessions()} == set(made)
    lines = list(client.session(made[0]).export())
    assert len(lines) == 2
    fork = client.session(made[0]).fork(title="fork")
    assert fork.get().session.title == "fork"


@pytest.mark.usefixtures("daemon")
def test_tools_and_answers_are_plain_functions_that_may_call_back(home: Home):
    asked: list[str] = []

    def answer(ask: blocking.Ask) -> str:
        asked.append(client.session(ask.session_id).get().session.title or "")
        return "allow"

    def title_of(session_id: str) -> str:
        """Give a session's title."""
        return client.session(session_id).get().session.title or ""

    with blocking.connect("attach", locations=locations(home), answer=answer) as client:
        session = client.create_session(str(home.work), title="mine")
        session.host_tools({"title_of": title_of})
        script = (
            f"script:\n  - call: {{tool: title_of, input: {{session_id: {session.id}}}}}\n  - text: Done.\n"
        )
        result = session.run(script)
        assert [e.result[0].text for e in result.events if isinstance(e, events.ToolCallCompleted)] == [
            "mine"
        ]
        assert session.run(WRITE).ok
    assert (home.work / "out.txt").read_text() == "written"
    assert set(asked) == {"mine"}


def test_several_threads_may_use_one_client(home: Home, client: blocking.Client):
    results = []

    def work(number: int) -> None:
        results.append(client.run(f"say {number}", cwd=str(home.work)).ok)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert results == [True] * 8


def test_a_daemon_that_is_killed_and_started_again_is_not_noticed(
    home: Home, daemon: ProcessDaemon, client: blocking.Client
):
    session = client.create_session(str(home.work))
    session.prompt(load(1_000_000, 20_000))
    seqs = []
    for event in session.events():
        seqs.append(event.seq)
        if event.seq == 1000:
            anyio.run(daemon.kill)
            anyio.run(daemon.start)
        if isinstance(event, events.Terminal):
            break
    assert seqs == list(range(1, seqs[-1] + 1))
    assert isinstance(event, events.RunInterrupted)


@pytest.mark.usefixtures("daemon")
def test_a_stream_whose_connection_is_cut_100_times_has_no_gap_and_no_duplicate(home: Home):
    route, draw, cuts, seqs = Cuttable(home), random.Random(5), 0, []
    with blocking.connect(route=route) as client:
        session = client.create_session(str(home.work))
        run = session.prompt(load(1_000_000, 5000))
        next_cut = 1
        for event in session.events():
            seqs.append(event.seq)
            if cuts < CUTS and event.seq >= next_cut and route.dialled > cuts:
                route.cut()
                cuts += 1
                next_cut = event.seq + draw.randrange(100)
            elif cuts == CUTS and route.dialled > CUTS and event.seq >= next_cut:
                session.cancel(run.run_id)
                next_cut = math.inf
            if isinstance(event, events.Terminal):
                break
        assert client.statistics().connections == route.dialled == CUTS + 1
        assert seqs == list(range(1, session.get().snapshot.head + 1))


def test_raw_notifications_are_iterated(home: Home, client: blocking.Client):
    stream = client.notifications("sessions/changed")
    session = client.create_session(str(home.work))
    assert next(stream).params["sessionId"] == session.id
    stream.close()
    assert list(stream) == []


def test_short_waits_come_to_the_event_that_a_long_one_comes_to(home: Home, client: blocking.Client):
    stream = client.create_session(str(home.work)).events()
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        with contextlib.suppress(TimeoutError):
            event = stream.receive(timeout_s=0)
            break
    assert isinstance(event, events.SessionStarted)


def test_the_cursor_never_passes_an_event_that_was_not_given(home: Home, client: blocking.Client):
    session = client.create_session(str(home.work))
    session.prompt(load(2000, 20_000))
    stream, given = session.events(), 0
    while True:
        assert stream.cursor == given
        with contextlib.suppress(TimeoutError):
            event = stream.receive(timeout_s=0)
            given = event.seq
            if isinstance(event, events.RunCompleted):
                break


@pytest.mark.usefixtures("daemon")
def test_leaving_the_client_ends_what_waits_in_other_threads(home: Home):
    ended = []

    def iterate(stream) -> None:
        try:
            ended.append(list(stream)[:0])
        except ClientClosed as closed:
            ended.append(closed)

    with blocking.connect("attach", locations=locations(home)) as client:
        session = client.create_session(str(home.work))
        streams = [session.events(), session.events(tree=True), client.notifications()]
        threads = [threading.Thread(target=iterate, args=(stream,)) for stream in streams]
        for thread in threads:
            thread.start()
        while client.statistics().connections != 1 or not client.rpc.daemon_status().hub.subscribers:
            pass
    for thread in threads:
        thread.join(WAIT_S)
    assert len(ended) == 3


def test_an_interrupted_wait_is_cancelled_and_the_client_goes_on(home: Home, client: blocking.Client):
    session = client.create_session(str(home.work))
    run = session.prompt(HANG)
    waiting = session.events(types=("run_completed",))
    timer = threading.Timer(0.2, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        next(waiting)
    timer.join()
    assert session.cancel().cancelled
    assert session.wait(run_id=run.run_id).status == "cancelled"


@pytest.mark.usefixtures("daemon")
def test_outside_its_block_a_client_is_closed(home: Home):
    client = blocking.connect("attach", locations=locations(home))
    with pytest.raises(ClientClosed):
        client.run("say hi", cwd="/")
    with client:
        session = client.create_session(str(home.work))
    with pytest.raises(ClientClosed):
        client.call("ping")
    with pytest.raises((ClientClosed, RuntimeError)):
        session.get()


@pytest.mark.usefixtures("daemon")
def test_a_client_may_be_left_by_an_error_and_leaves_no_thread(home: Home):
    before = set(threading.enumerate())
    with pytest.raises(KeyError, match="mine"), blocking.connect("attach", locations=locations(home)):
        raise KeyError("mine")
    left = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("Blocking")]
    assert left == []


def test_a_daemon_that_does_not_run_is_told(home: Home):
    client = blocking.connect("attach", locations=locations(home), autostart=False)
    with pytest.raises(DaemonNotRunning), client:
        pytest.fail("nobody answers")


PARENT = """
import sys
from holdfast_client import blocking

with blocking.connect("spawn", state=sys.argv[1]) as client:
    print(client.server.server.pid, flush=True)
    sys.stdin.read()
"""


def test_a_sidecar_of_a_blocking_program_dies_with_it(home: Home):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(home.state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        ended = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        parent.wait(WAIT_S)
        anyio.run(wait_for_end, ended)
        os.close(ended)


async def wait_for_end(process: int) -> None:
    with anyio.fail_after(WAIT_S):
        await anyio.wait_readable(process)
