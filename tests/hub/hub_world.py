"""A hub on a running journal, sessions that publish what is committed, and outlets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
from journal_world import Kept, TappedStore, World, limits, running
from memory_store import MemoryStore
from outlets import WAIT_S, FakeOutlet, Follower

from holdfast_daemon.config import HubLimits
from holdfast_daemon.hub.filter import Filter
from holdfast_daemon.hub.hub import Channel, Hub
from holdfast_daemon.hub.subscription import Pace, Subscription
from holdfast_protocol import events
from holdfast_protocol.methods.subscribe import OnLag


class Live:
    """A loaded session with its channel."""

    def __init__(self, kept: Kept, channel: Channel, world: "HubWorld") -> None:
        self.kept = kept
        self.log = kept.log
        self.channel = channel
        self._world = world

    async def publish(self, *group: events.Event) -> None:
        """Commit events together; they are published when this returns."""
        await self._world.journal.commit(self.log, *group)

    @property
    def name(self) -> str:
        return self.log.session_id


class HubWorld:
    """A hub and everything below it."""

    def __init__(self, world: World, hub: Hub, store: TappedStore) -> None:
        self.world = world
        self.journal = world.journal
        self.hub = hub
        self.store = store
        self.outlets: list[FakeOutlet] = []

    async def session(self, name: str = "s") -> Live:
        kept = await self.world.session(name)
        channel = self.hub.open(kept.log)
        kept.owner.on_committed = lambda committed: self.hub.publish(channel, committed.rows, committed.bytes)
        return Live(kept, channel, self)

    def outlet(self, **options: Any) -> FakeOutlet:
        """Connect."""
        outlet = FakeOutlet(**options)
        self.outlets.append(outlet)
        self.hub.attach(outlet)
        return outlet

    def subscribe(
        self,
        live: Live,
        outlet: FakeOutlet,
        after: int = 0,
        wanted: Filter | None = None,
        on_lag: OnLag = "catch_up",
    ) -> Follower:
        """Subscribe and start, as a client whose response was written does."""
        start = self.hub.subscribe(
            live.channel, outlet, after=after, wanted=wanted or Filter(), on_lag=on_lag
        )
        follower = outlet.follow(live.name, after)
        start()
        return follower

    def read(self, outlet: FakeOutlet) -> None:
        """Let a slow client read what there is."""
        outlet.read()
        self.hub.resume(outlet)

    def lagging(self, live: Live) -> list[Subscription]:
        """Give the subscriptions that are not at the head."""
        return [
            item
            for item in live.channel.subscriptions.values()
            if item.position < live.log.head or item.pace is not Pace.LIVE
        ]

    async def drain(self, *lives: Live) -> None:
        """Let every client read until each subscription is at the head."""
        written = anyio.Event()

        def note(_frame: bytes) -> None:
            written.set()

        for outlet in self.outlets:
            outlet.on_write = note
        with anyio.fail_after(WAIT_S):
            while True:
                written = anyio.Event()
                for outlet in self.outlets:
                    self.read(outlet)
                if not any(self.lagging(live) for live in lives):
                    return
                if not any(outlet.paused for outlet in self.outlets):
                    await written.wait()


@asynccontextmanager
async def hub_running(**changes: Any) -> AsyncIterator[HubWorld]:
    """Run a hub on a store in memory; `changes` are of its limits."""
    store = TappedStore(MemoryStore())
    async with running(store, limits()) as world:
        hub = Hub(world.journal, msgspec.structs.replace(HubLimits(), **changes))
        async with hub.running():
            yield HubWorld(world, hub, store)
