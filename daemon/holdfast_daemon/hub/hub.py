"""The hub: a cursor per subscriber, moved from the ring or from the store.

    SessionLog committed → Channel.ring → batches → outlets that are at the head
                         → the store, in pages → outlets that are not

A slow client costs a cursor: when its buffer is full nothing is kept for it, and when it reads again it is
served from the ring, else from the store at its own pace, then live. Batches are joined once per (framing,
filter, cursor) and shared.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from holdfast_daemon.config import HubLimits
from holdfast_daemon.hub.batch import Batch, batch_of, events_frame, notification
from holdfast_daemon.hub.filter import Filter
from holdfast_daemon.hub.ring import Ring
from holdfast_daemon.hub.subscription import Outlet, Pace, Subscription
from holdfast_daemon.journal.journal import Journal, SessionLog
from holdfast_daemon.journal.store import Bodies, EventRow
from holdfast_protocol.capabilities import RequestKind
from holdfast_protocol.errors import Conflict, Overloaded, RequestCancelled, StorageUnavailable
from holdfast_protocol.framing import Framing
from holdfast_protocol.methods.daemon import HubStatistics
from holdfast_protocol.methods.session import SessionsChangedParams
from holdfast_protocol.methods.subscribe import (
    OnLag,
    SessionCaughtUpParams,
    SessionGapParams,
    SessionHaltedParams,
    SessionLaggedParams,
)


class Channel:
    """A loaded session's subscribers and ring. The hub alone changes it."""

    def __init__(self, log: SessionLog) -> None:
        self.log = log
        self.ring = Ring(log.head)
        self.subscriptions: dict[Outlet, Subscription] = {}
        self.blocking: Subscription | None = None
        self.demotion: asyncio.TimerHandle | None = None  # Set while `blocking` holds the session.


_Batches = dict[tuple[Framing, Filter, int, int], Batch]
"""Batches by what decides them: framing, filter, cursor, position."""


class Hub:
    """All subscriptions of the daemon.

    Args:
        journal: where subscribers that fell behind read.
        limits: sizes of rings and batches, numbers of subscribers.

    Use `async with hub.running():` around everything that subscribes.
    """

    def __init__(self, journal: Journal, limits: HubLimits) -> None:
        self._journal = journal
        self._limits = limits
        self._channels: dict[Channel, None] = {}  # Least recently published first.
        self._by_outlet: dict[Outlet, dict[Channel, Subscription]] = {}
        self._stale_lists: set[Outlet] = set()
        self._ring_bytes = 0
        self._tasks: TaskGroup | None = None
        self._published = self._delivered = self._batches = self._lagged = 0
        self._by_type: dict[str, int] = {}

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run the tasks of those who read from the store; leaving ends all subscriptions."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
                self._tasks = None

    # Sessions ------------------------------------------------------------------------------------------

    def open(self, log: SessionLog) -> Channel:
        """Make a channel for a session that was loaded."""
        channel = Channel(log)
        self._channels[channel] = None
        return channel

    def close(self, channel: Channel) -> None:
        """Drop an unloaded session's channel and what subscriptions it has."""
        for outlet in list(channel.subscriptions):
            self._end(channel, outlet)
        self._ring_bytes -= channel.ring.bytes
        self._channels.pop(channel, None)

    def publish(self, channel: Channel, rows: Sequence[EventRow], size: int) -> None:
        """Take events that are durable, and send them to whoever is at the head.

        Args:
            channel: the session's.
            rows: the events, following the ones before without a gap.
            size: the bytes of their bodies.
        """
        self._published += len(rows)
        types = [row.type for row in rows]
        for kind in set(types):  # One or two, of many events.
            self._by_type[kind] = self._by_type.get(kind, 0) + types.count(kind)
        channel.ring.append(rows, size)
        self._ring_bytes += size
        self._channels.pop(channel, None)
        self._channels[channel] = None
        batches: _Batches = {}  # Dropped afterwards: a frame nobody shares any more is only memory.
        for subscription in list(channel.subscriptions.values()):
            if subscription.pace is Pace.LIVE:
                self._advance(channel, subscription, batches)
        self._ring_bytes -= channel.ring.trim(self._limits.ring_bytes_max)
        self._trim_rings()

    def halted(self, channel: Channel, kind: str) -> None:
        """Tell a session's subscribers that its log cannot be written."""
        params = SessionHaltedParams(session_id=channel.log.session_id, epoch=channel.log.epoch, kind=kind)
        for subscription in channel.subscriptions.values():
            self._notify(subscription.outlet, "session/halted", params)

    def _trim_rings(self) -> None:
        """Keep all rings together under their limit: the sessions longest silent give first."""
        for channel in self._channels:
            if self._ring_bytes <= self._limits.rings_bytes_max:
                return
            self._ring_bytes -= channel.ring.trim(0)

    # Outlets -------------------------------------------------------------------------------------------

    def attach(self, outlet: Outlet) -> None:
        """Take in an initialized connection; it hears of the session list and the daemon's state."""
        self._by_outlet[outlet] = {}

    def detach(self, outlet: Outlet) -> None:
        """Drop a lost connection and its subscriptions."""
        for channel in list(self._by_outlet.get(outlet, ())):
            self._end(channel, outlet)
        self._by_outlet.pop(outlet, None)
        self._stale_lists.discard(outlet)

    def resume(self, outlet: Outlet) -> None:
        """Go on with an outlet whose buffer has room again."""
        if outlet in self._stale_lists:
            self._stale_lists.discard(outlet)
            self._notify(outlet, "sessions/changed", SessionsChangedParams(change="many"))
        for channel, subscription in list(self._by_outlet.get(outlet, {}).items()):
            subscription.resume()
            if subscription is channel.blocking:
                self._let_go(channel)
            if subscription.pace is Pace.LIVE:
                self._advance(channel, subscription)

    def broadcast_list_change(self, params: SessionsChangedParams) -> None:
        """Tell every connection of a change of the session list; slow ones once, when they read again."""
        frames: dict[Framing, bytes] = {}
        for outlet in self._by_outlet:
            if outlet.paused:
                self._stale_lists.add(outlet)
            else:
                self._write_shared(outlet, frames, "sessions/changed", params)

    def broadcast(self, method: str, params: object) -> None:
        """Send a rare notification to every connection."""
        frames: dict[Framing, bytes] = {}
        for outlet in self._by_outlet:
            self._write_shared(outlet, frames, method, params)

    # Subscriptions -------------------------------------------------------------------------------------

    def subscribe(
        self,
        channel: Channel,
        outlet: Outlet,
        *,
        after: int,
        wanted: Filter,
        on_lag: OnLag,
        answers: frozenset[RequestKind] = frozenset(),
    ) -> Callable[[], None]:
        """Register a subscription; give what starts it, to be called when its response was written.

        Replaces the outlet's earlier subscription to the session. No await happens here, so that the
        head the caller answered with is the head it starts from.

        Raises:
            RequestCancelled: the connection was lost meanwhile; nobody would end the subscription.
            Overloaded: a limit on subscribers is reached.
            Conflict: another subscriber of the session has `block`.
        """
        if outlet not in self._by_outlet:
            raise RequestCancelled("The connection is gone.")
        self._check_room(channel, outlet)
        if on_lag == "block" and channel.blocking and channel.blocking.outlet is not outlet:
            raise Conflict(
                "Another client blocks this session.", resource="session", id=channel.log.session_id
            )
        if on_lag == "block" and channel.blocking is not None and outlet.paused:
            on_lag = "catch_up"  # It holds the session already; subscribing anew is no new time.
        self._end(channel, outlet)
        subscription = Subscription(outlet, after, wanted, on_lag, answers)
        channel.subscriptions[outlet] = subscription
        self._by_outlet[outlet][channel] = subscription
        if on_lag == "block":
            channel.blocking = subscription

        def start() -> None:
            if subscription.pace is Pace.PENDING:
                subscription.pace = Pace.LIVE
                self._advance(channel, subscription)

        return start

    def somebody_here(self, channel: Channel, kind: RequestKind) -> bool:
        """Tell whether a subscriber of the session can answer requests of a kind."""
        return any(kind in item.answers for item in channel.subscriptions.values())

    def notify(self, outlet: Outlet, method: str, params: object) -> None:
        """Send a notification to one connection."""
        self._notify(outlet, method, params)

    def unsubscribe(self, channel: Channel, outlet: Outlet) -> int | None:
        """End a subscription; give its cursor, or None if there was none."""
        return self._end(channel, outlet)

    def statistics(self) -> HubStatistics:
        """Count what was published and delivered, and who lags."""
        subscriptions = [item for channel in self._channels for item in channel.subscriptions.values()]
        lagging = sum(item.pace is Pace.READING or item.outlet.paused for item in subscriptions)
        return HubStatistics(
            published=self._published,
            delivered=self._delivered,
            batches=self._batches,
            lagged=self._lagged,
            subscribers=len(subscriptions),
            lagging=lagging,
            ring_bytes=self._ring_bytes,
            by_type=dict(self._by_type),
        )

    def _check_room(self, channel: Channel, outlet: Outlet) -> None:
        if outlet in channel.subscriptions:
            return
        limits = self._limits
        total = sum(len(item.subscriptions) for item in self._channels)
        for name, count, limit in (
            (
                "subscribers_per_session_max",
                len(channel.subscriptions),
                limits.subscribers_per_session_max,
            ),
            ("subscribers_max", total, limits.subscribers_max),
        ):
            if count >= limit:
                raise Overloaded("Too many subscribers.", limit=name, limit_value=limit)

    def _end(self, channel: Channel, outlet: Outlet) -> int | None:
        subscription = channel.subscriptions.pop(outlet, None)
        if subscription is None:
            return None
        self._by_outlet.get(outlet, {}).pop(channel, None)
        subscription.pace = Pace.ENDED
        subscription.resume()
        if channel.blocking is subscription:
            channel.blocking = None
            self._let_go(channel)
        return subscription.cursor

    # Moving cursors ------------------------------------------------------------------------------------

    def _advance(self, channel: Channel, subscription: Subscription, batches: _Batches | None = None) -> None:
        """Send from the ring what there is, while the outlet takes it; else leave it to a reading task.

        Args:
            channel: the session's.
            subscription: one of it.
            batches: made already for others; gets the new ones.
        """
        batches = {} if batches is None else batches
        head = channel.log.head
        while subscription.position < head:
            if subscription.outlet.paused:
                self._stall(channel, subscription)
                return
            if subscription.position + 1 < channel.ring.first:
                self._fall_behind(channel, subscription)
                return
            batch = self._batch(channel, subscription, batches)
            subscription.position = batch.to
            if batch.frame is not None:
                subscription.cursor = batch.to
                self._deliver(subscription, batch.frame, batch.delivered)
        self._caught_up(channel, subscription)

    def _batch(self, channel: Channel, subscription: Subscription, batches: _Batches) -> Batch:
        subscription.filter = wanted = subscription.filter.at(subscription.position)
        framing = subscription.outlet.framing
        key = (framing, wanted, subscription.cursor, subscription.position)
        batch = batches.get(key)
        if batch is None:
            batch = batch_of(
                channel.ring.after(subscription.position),
                wanted,
                framing,
                channel.log.session_id,
                channel.log.epoch,
                subscription.cursor,
                self._limits.batch_bytes_max,
            )
            batches[key] = batch
        return batch

    def _deliver(self, subscription: Subscription, frame: bytes, count: int) -> None:
        self._delivered += count
        self._batches += 1
        subscription.outlet.write(frame)

    def _caught_up(self, channel: Channel, subscription: Subscription) -> None:
        if not subscription.behind:
            return
        subscription.behind = False
        log = channel.log
        if subscription.cursor < log.head:  # Left-out deltas are covered.
            framing = subscription.outlet.framing
            covered = events_frame(framing, log.session_id, log.epoch, subscription.cursor + 1, log.head, ())
            subscription.cursor = log.head
            self._deliver(subscription, covered, 0)
        params = SessionCaughtUpParams(session_id=log.session_id, epoch=log.epoch, head=log.head)
        self._notify(subscription.outlet, "session/caughtUp", params)

    def _stall(self, channel: Channel, subscription: Subscription) -> None:
        """The outlet takes no more: keep the cursor, and hold the session if that is what was asked."""
        if channel.blocking is subscription and channel.demotion is None:
            channel.log.hold()
            loop = asyncio.get_running_loop()
            channel.demotion = loop.call_later(self._limits.block_timeout_s, self._demote, channel)

    def _demote(self, channel: Channel) -> None:
        """Its time is over: the blocking subscriber is one like any other from now on."""
        if channel.blocking is not None:
            channel.blocking.on_lag = "catch_up"
            channel.blocking = None
        self._let_go(channel)

    def _let_go(self, channel: Channel) -> None:
        if channel.demotion is not None:
            channel.demotion.cancel()
            channel.demotion = None
        channel.log.release()

    def _fall_behind(self, channel: Channel, subscription: Subscription) -> None:
        """What comes next is not in the ring any more."""
        log = channel.log
        if subscription.on_lag == "skip" and not subscription.behind:
            params = SessionGapParams(
                session_id=log.session_id,
                epoch=log.epoch,
                from_=subscription.cursor + 1,
                to=log.head,
                reason="skipped",
            )
            subscription.cursor = subscription.position = log.head
            self._notify(subscription.outlet, "session/gap", params)
            return
        if not subscription.behind:
            self._lagged += 1
            lagged = SessionLaggedParams(
                session_id=log.session_id, epoch=log.epoch, cursor=subscription.cursor, head=log.head
            )
            self._notify(subscription.outlet, "session/lagged", lagged)
        subscription.behind = True
        subscription.pace = Pace.READING
        if self._tasks is not None:
            self._tasks.start_soon(self._read, channel, subscription)

    async def _read(self, channel: Channel, subscription: Subscription) -> None:
        """Serve one subscription from the store until the ring can take over."""
        log = channel.log
        while True:
            await subscription.writable()
            if subscription.pace is Pace.ENDED:
                return
            if subscription.position + 1 >= channel.ring.first or subscription.position >= log.head:
                break
            try:
                page = await self._page(channel, subscription)
            except StorageUnavailable:
                await anyio.sleep(1)  # The disk does not answer; the cursor loses nothing by waiting.
                continue
            if subscription.pace is Pace.READING:
                self._deliver_page(channel, subscription, page)
        subscription.pace = Pace.LIVE
        self._advance(channel, subscription)

    async def _page(self, channel: Channel, subscription: Subscription) -> Bodies:
        wanted, after = subscription.filter.at(subscription.position), subscription.position
        limit, bytes_max = self._limits.page_events_max, self._limits.batch_bytes_max
        if wanted.passes_all:
            return await self._journal.read_bodies(channel.log, after, limit=limit, bytes_max=bytes_max)
        page = await self._journal.read(
            channel.log,
            after,
            limit=limit,
            bytes_max=bytes_max,
            types=sorted(wanted.types) if wanted.types is not None else None,
            without=tuple(wanted.unwanted()),
        )
        return Bodies(page.last, [row.body for row in page.rows if wanted.passes(row)])

    def _deliver_page(self, channel: Channel, subscription: Subscription, page: Bodies) -> None:
        log, framing, first = channel.log, subscription.outlet.framing, subscription.cursor + 1
        frame = events_frame(framing, log.session_id, log.epoch, first, page.last, page.bodies)
        subscription.cursor = subscription.position = page.last
        self._deliver(subscription, frame, len(page.bodies))

    # Notifications -------------------------------------------------------------------------------------

    def _notify(self, outlet: Outlet, method: str, params: object) -> None:
        outlet.write(notification(outlet.framing, method, params))

    def _write_shared(
        self, outlet: Outlet, frames: dict[Framing, bytes], method: str, params: object
    ) -> None:
        frame = frames.get(outlet.framing)
        if frame is None:
            frame = frames[outlet.framing] = notification(outlet.framing, method, params)
        outlet.write(frame)
