"""What happens in a demo, in its order. Gathers the evidence; judges nothing.

A and B begin → A's plan is approved, its tests fail → A asks to edit → the daemon is killed and started
again → client 2 attaches and allows the edit → client 1 is killed → A ends → client 1 comes back
"""

from collections.abc import Callable
from itertools import pairwise
from time import monotonic
from typing import Final, NamedTuple

from holdfast_client import aio
from holdfast_client.core.tail import AnyEvent
from holdfast_client.demo import client_1, log_queries, sample_project
from holdfast_client.demo.client_1_process import Client1Process
from holdfast_client.demo.evidence import Events, Evidence, Moment
from holdfast_client.demo.narrator import Narrator
from holdfast_client.demo.own_daemon import OwnDaemon
from holdfast_client.demo.place import Place
from holdfast_client.demo.report import Report
from holdfast_client.demo.watch import Watch, watching
from holdfast_protocol import events

A: Final = "demo-a"
B: Final = "demo-b"
"""The sessions."""

CLIENT_2: Final = "demo-client-2"

_MODEL: Final = "offline/rehearsal"

_NAMES: Final = {client_1.CLIENT_ID: "client 1", CLIENT_2: "client 2"}

_MOMENTS: Final[dict[tuple[str, type], Moment]] = {
    ("A", events.RunStarted): "A began",
    ("A", events.RunCompleted): "A ended",
    ("B", events.RunStarted): "B began",
    ("B", events.RunCompleted): "B ended",
}


class _Scene(NamedTuple):
    """The sessions, and who looks at them all the time."""

    a: aio.Session
    b: aio.Session
    watch_a: Watch
    watch_b: Watch


class Story:
    """One demo. Play it once.

    Args:
        place: where.
        report: who is told.
        daemon: not started yet; whoever made it ends it.
        process: of client 1; likewise.
    """

    def __init__(self, place: Place, report: Report, daemon: OwnDaemon, process: Client1Process) -> None:
        self._place = place
        self._report = report
        self._daemon = daemon
        self._process = process
        self._moments: list[Moment] = []  # In the order in which they were seen.
        self._pids: list[int] = []  # Of the daemons, in their order.
        self._asked: list[tuple[str, ...]] = []  # A's open requests, before and after the daemon is killed.
        self._lives: list[int] = []  # How many events client 1 had written down when a process of it ended.
        self._before_kill: Events = ()
        self._client_2: Events = ()

    async def play(self) -> Evidence:
        """Let it happen; give the evidence.

        Raises:
            StoryBroken, RpcError, ClientError: something did not happen as it has to.
        """
        source_before = sample_project.source_of(self._place.sample)
        took = await self._start_daemon()
        self._report.step("daemon", "started", f"started in {took}, for this demo alone")
        self._report.step("sample", "copied", "a small project with one failing test")
        async with self._connect("demo") as client:
            a = await self._create(client, A, "Fix the failing test", mode="plan")
            b = await self._create(client, B, "Summarise the README", mode="ask")
            self._report.step("session", "created", "A  fix the failing test", "mode plan")
            self._report.step("session", "created", "B  summarise the README", "at the same time")
            async with watching(a, self._teller("A")) as watch_a, watching(b, self._teller("B")) as watch_b:
                scene = _Scene(a, b, watch_a, watch_b)
                await self._until_a_asks(scene)
                await self._kill_daemon(a)
                await self._answer(scene)
                return await self._gather(scene, source_before)

    # Acts ----------------------------------------------------------------------------------------------

    async def _until_a_asks(self, scene: _Scene) -> None:
        """Let both sessions work until B is done and A waits for leave to edit."""
        self._process.start(hold=True)
        await scene.a.prompt(sample_project.script("plan"), prompt_id="demo-plan")
        await scene.watch_a.find(_is(events.RunStarted))
        await scene.b.prompt(sample_project.script("summary"), prompt_id="demo-summary")
        await scene.watch_b.find(_is(events.RunCompleted))
        question = await scene.watch_a.find(_asks_to_edit)
        await self._process.reach(question.seq)

    async def _kill_daemon(self, a: aio.Session) -> None:
        """Kill the daemon while A waits, and start another."""
        self._asked.append(await _open_requests(a))
        self._before_kill = self._process.written()
        await self._daemon.kill()
        at = self._before_kill[-1].seq
        self._report.step("daemon", "killed", f"killed (SIGKILL) at event {at} of A, while A waits")
        took = await self._start_daemon()
        self._report.step("daemon", "started", f"started again in {took}")
        self._asked.append(await _open_requests(a))

    async def _answer(self, scene: _Scene) -> None:
        """Let client 2 attach and answer, client 1 see it and be killed, and come back when A is done."""
        async with self._connect(CLIENT_2) as client:
            a = client.session(A)
            async with watching(a, _nothing) as watch:
                question = await watch.find(_asks_to_edit)
                assert isinstance(question, events.RequestOpened)
                seen = len(watch.seen)
                self._report.step("client 2", "attached", f"attached to A from event 1, has {seen} events")
                await a.respond(question.request_id, "allow", scope="once")
                await self._kill_client_1()
                end = await scene.watch_a.find(_is(events.RunCompleted))
                await self._bring_back_client_1(end.seq)
                await watch.reach(end.seq)
                self._client_2 = tuple(watch.seen)

    async def _kill_client_1(self) -> None:
        await self._process.hold()
        await self._process.kill()
        self._lives.append(len(self._process.written()))
        self._report.step(
            "client 1",
            "killed",
            "saw the question close",
            f"killed (SIGKILL) at event {self._process.cursor}",
        )

    async def _bring_back_client_1(self, end: int) -> None:
        after = self._process.cursor
        self._process.start(hold=False)
        await self._process.reach(end)
        self._report.step("client 1", "resumed", "a new process", f"went on with events {after + 1}-{end}")

    async def _gather(self, scene: _Scene, source_before: str) -> Evidence:
        await scene.watch_b.find(_is(events.RunCompleted))
        written = self._process.written()
        lives = [0, *self._lives, len(written)]
        return Evidence(
            log_a=await _log_of(scene.a),
            log_b=await _log_of(scene.b),
            client_1=tuple(written[start:end] for start, end in pairwise(lives)),
            client_2=self._client_2,
            client_b=tuple(scene.watch_b.seen),
            client_2_id=CLIENT_2,
            before_kill=self._before_kill,
            daemon_pids=tuple(self._pids),
            asked=tuple(self._asked),
            moments=tuple(self._moments),
            source_before=source_before,
            source_after=sample_project.source_of(self._place.sample),
            test_runs=sample_project.test_runs(self._place.sample),
        )

    # Means ---------------------------------------------------------------------------------------------

    async def _start_daemon(self) -> str:
        """Start the daemon, and say how long it took and who it is."""
        started = monotonic()
        await self._daemon.start()
        self._pids.append(self._daemon.pid)
        return f"{monotonic() - started:.1f} s (pid {self._daemon.pid})"

    def _connect(self, client_id: str) -> aio.Client:
        locations = self._place.locations
        return aio.connect("attach", autostart=False, locations=locations, client_id=client_id)

    async def _create(
        self, client: aio.Client, session_id: str, title: str, *, mode: events.Mode
    ) -> aio.Session:
        return await client.create_session(
            str(self._place.sample),
            session_id=session_id,
            model=_MODEL,
            mode=mode,
            title=title,
            env=self._place.tool_environ,
        )

    def _teller(self, subject: str) -> Callable[[AnyEvent], None]:
        """Give what notes and tells the events of a session."""
        narrator = Narrator(subject, self._report, _NAMES)

        def take(event: AnyEvent) -> None:
            moment = _MOMENTS.get((subject, type(event)))
            if moment is not None:
                self._moments.append(moment)
            narrator.tell(event)

        return take


def _nothing(event: AnyEvent) -> None:
    del event


def _is(kind: type[AnyEvent]) -> Callable[[AnyEvent], bool]:
    def wanted(event: AnyEvent) -> bool:
        return isinstance(event, kind)

    return wanted


def _asks_to_edit(event: AnyEvent) -> bool:
    return log_queries.asks_for(event, "edit")


async def _open_requests(session: aio.Session) -> tuple[str, ...]:
    return tuple(request.request_id for request in await session.requests())


async def _log_of(session: aio.Session) -> Events:
    """Read a session's log, page by page."""
    log: list[AnyEvent] = []
    while page := await session.read(log[-1].seq if log else 0):
        log += page
    return tuple(log)
