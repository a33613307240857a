"""Whatever clients do and however slow they are: each gets what it asked for, in order, once."""

from typing import Any, Literal, NamedTuple

import anyio
import msgspec
from hub_world import HubWorld, Live, hub_running
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_world import delta, notice, output
from outlets import FakeOutlet, Follower

from holdfast_daemon.hub.filter import Filter
from holdfast_protocol import events
from holdfast_protocol.framing import Framing
from holdfast_protocol.methods.subscribe import OnLag

OUTLETS, SESSIONS = 4, 2

BLOCKS = ("b1", "b2")


class Publish(NamedTuple):
    session: int
    group: tuple[events.Event, ...]


class Subscribe(NamedTuple):
    outlet: int
    session: int
    after: float
    """Of the head: 0 is the start, 1 the head."""
    types: frozenset[str] | None
    deltas: Literal["all", "settled", "none"]
    open_streams: frozenset[str]
    on_lag: OnLag


class Unsubscribe(NamedTuple):
    outlet: int
    session: int


class Pause(NamedTuple):
    outlet: int


class Read(NamedTuple):
    outlet: int


class Breathe(NamedTuple):
    """Let tasks that read from the store get somewhere."""


EVENT = st.one_of(
    st.builds(delta, st.sampled_from(["a", "text"]), block=st.sampled_from(BLOCKS)),
    st.builds(output, st.sampled_from(["o", "output"])),
    st.builds(notice, st.sampled_from(["", "x" * 40, "x" * 400])),
    st.just(events.RunPaused(run_id="r1", reason="test")),
)

OUTLET, SESSION = st.integers(0, OUTLETS - 1), st.integers(0, SESSIONS - 1)

STEP = st.one_of(
    st.builds(Publish, SESSION, st.lists(EVENT, min_size=1, max_size=8).map(tuple)),
    st.builds(
        Subscribe,
        OUTLET,
        SESSION,
        st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0]),
        st.none()
        | st.sets(st.sampled_from(["notice", "token_delta", "run_paused"]), min_size=1).map(frozenset),
        st.sampled_from(["all", "settled", "none"]),
        st.sampled_from([frozenset[str](), frozenset({"b1"}), frozenset({"b1", "t1"})]),
        st.sampled_from(["catch_up", "skip"]),
    ),
    st.builds(Unsubscribe, OUTLET, SESSION),
    st.builds(Pause, OUTLET),
    st.builds(Read, OUTLET),
    st.builds(Breathe),
)


class Followed(NamedTuple):
    """What a client asked for, and what it got."""

    follower: Follower
    after: int
    wanted: Filter
    on_lag: OnLag


class Model:
    """Carries out steps and knows what everybody must have got."""

    def __init__(self, world: HubWorld, lives: list[Live], outlets: list[FakeOutlet]) -> None:
        self.world = world
        self.lives = lives
        self.outlets = outlets
        self.followed: dict[tuple[int, int], Followed] = {}
        self.ended: list[tuple[int, Followed]] = []  # With the session they followed.

    async def take(self, step: Any) -> None:
        match step:
            case Publish():
                await self.lives[step.session].publish(*step.group)
            case Subscribe():
                self._subscribe(step)
            case Unsubscribe():
                self._unsubscribe(step)
            case Pause():
                self.outlets[step.outlet].paused = True
            case Read():
                self.world.read(self.outlets[step.outlet])
            case Breathe():
                await anyio.wait_all_tasks_blocked()

    def _subscribe(self, step: Subscribe) -> None:
        live, outlet = self.lives[step.session], self.outlets[step.outlet]
        after = int(live.log.head * step.after)
        wanted = Filter(step.types, step.deltas == "all")
        if step.deltas == "settled":
            wanted = Filter(step.types, settled_to=live.log.head, open_streams=step.open_streams)
        self._end(step.outlet, step.session)
        follower = self.world.subscribe(live, outlet, after, wanted, step.on_lag)
        self.followed[step.outlet, step.session] = Followed(follower, after, wanted, step.on_lag)

    def _unsubscribe(self, step: Unsubscribe) -> None:
        live, outlet = self.lives[step.session], self.outlets[step.outlet]
        followed = self._end(step.outlet, step.session)
        cursor = self.world.hub.unsubscribe(live.channel, outlet)
        assert cursor == (followed.follower.cursor if followed else None)
        outlet.followers.pop(live.name, None)

    def _end(self, outlet: int, session: int) -> Followed | None:
        followed = self.followed.pop((outlet, session), None)
        if followed is not None:
            self.ended.append((session, followed))
        return followed

    async def check(self) -> None:
        logs = [await self.world.world.stored(live.log) for live in self.lives]
        for (_, session), followed in self.followed.items():
            check(followed, logs[session], complete=True)
        for session, followed in self.ended:
            check(followed, logs[session], complete=False)


def check(followed: Followed, log: list[Any], *, complete: bool) -> None:
    follower, wanted = followed.follower, followed.wanted
    skipped = {seq for first, last in follower.gaps for seq in range(first, last + 1)}
    expected = [
        msgspec.json.decode(row.body)
        for row in log
        if followed.after < row.seq <= follower.cursor and row.seq not in skipped and wanted.passes(row)
    ]
    assert follower.events == expected
    assert followed.on_lag == "skip" or not follower.gaps
    if complete:
        # What no batch covered yet are deltas that were left out: the next batch covers them.
        rest = log[follower.cursor :]
        assert all(row.type in events.DELTA_TAGS for row in rest)
        assert not any(wanted.passes(row) for row in rest)
        assert follower.caught_up


@settings(max_examples=120)
@given(
    steps=st.lists(STEP, max_size=40),
    high_water=st.lists(st.none() | st.sampled_from([200, 1500]), min_size=OUTLETS, max_size=OUTLETS),
    ring=st.sampled_from([0, 300, 2000]),
    batch=st.sampled_from([100, 700]),
    page=st.sampled_from([1, 4]),
)
def test_every_subscriber_gets_what_it_wants_in_order_and_once(
    steps: list[Any], high_water: list[int | None], ring: int, batch: int, page: int
) -> None:
    async def main() -> None:
        async with hub_running(ring_bytes_max=ring, batch_bytes_max=batch, page_events_max=page) as world:
            lives = [await world.session(f"s{number}") for number in range(SESSIONS)]
            framings = [Framing.LINES, Framing.HEADERS] * 2
            outlets = [
                world.outlet(framing=framing, high_water=water)
                for framing, water in zip(framings, high_water, strict=True)
            ]
            model = Model(world, lives, outlets)
            for step in steps:
                await model.take(step)
            await world.drain(*lives)
            await model.check()

    anyio.run(main)
