"""Subscribes to sessions on behalf of their readers, and hands batches on. Knows no events."""

import weakref

import anyio
import msgspec

from holdfast_client.aio.caller import Caller
from holdfast_client.core.calls import Call
from holdfast_client.core.follows import Follow, Follows, Stage
from holdfast_client.core.tail import Tail
from holdfast_client.errors import ConnectionLost
from holdfast_protocol.errors import RpcError
from holdfast_protocol.methods.subscribe import (
    SessionEventsParams,
    SessionGapParams,
    SessionSubscribeParams,
    SessionSubscribeResult,
    SessionUnsubscribeParams,
)

_events_decoder = msgspec.json.Decoder(SessionEventsParams)
_gap_decoder = msgspec.json.Decoder(SessionGapParams)
_subscribe_decoder = msgspec.json.Decoder(SessionSubscribeResult)


class Follower:
    """One client's subscriptions. One owner."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._follows = Follows()
        self._changed = anyio.Event()  # A subscription left a stage in which others have to wait.

    async def join(self, tail: Tail, *, early: bool = False) -> bool:
        """Let a tail that has read up to the head become live; False if it is behind, or there was no way.

        Args:
            tail: it is given all that follows its cursor.
            early: part of making a new connection usable.

        Raises:
            RpcError: the session cannot be followed.
        """
        while (follow := self._follows.of(tail.session_id)).stage in (Stage.SUBSCRIBING, Stage.LEAVING):
            await self._changed.wait()
        if follow.stage is Stage.LIVE:
            return follow.admit(tail)
        try:
            await self._subscribe(follow, tail, early=early)
        except ConnectionLost:
            return False
        return tail.live

    def leave(self, tail: Tail) -> None:
        """Let go of a tail; the last of a session ends its subscription."""
        follow = self._follows.of(tail.session_id)
        follow.tails.discard(tail)
        tail.drop()
        self._end_unread(follow)

    def lost(self) -> None:
        """The connection is gone: every tail reads the log until it can be live again."""
        self._follows.lost()
        self._tell()

    def take_batch(self, params: msgspec.Raw) -> None:
        """Take a `session/events`."""
        follow = self._follows.receive(_events_decoder.decode(params))
        if follow is not None:
            self._end_unread(follow)

    def take_gap(self, params: msgspec.Raw) -> None:
        """Take a `session/gap`."""
        self._follows.gap(_gap_decoder.decode(params).session_id)

    async def _subscribe(self, follow: Follow, tail: Tail, *, early: bool) -> None:
        params = SessionSubscribeParams(session_id=tail.session_id, after=tail.cursor, epoch=tail.epoch)
        waiting = weakref.ref(tail)

        def started(result: msgspec.Raw) -> None:
            follow.started(_subscribe_decoder.decode(result))
            reader = waiting()
            if reader is not None:
                follow.admit(reader)

        follow.stage = Stage.SUBSCRIBING
        try:
            await self._caller.perform(
                "session/subscribe",
                params,
                bound_to=self._caller.number,
                early=early,
                on_result=started,
            )
        except (ConnectionLost, RpcError):
            follow.stage = Stage.NONE
            self._follows.forget(follow)
            raise
        finally:
            if follow.stage is Stage.SUBSCRIBING:
                self._end(follow)  # The caller left before the answer: it may have taken effect.
            self._tell()

    def _end_unread(self, follow: Follow) -> None:
        """End a subscription nobody reads."""
        if follow.stage is Stage.LIVE and not follow.tails:
            self._end(follow)
        self._follows.forget(follow)

    def _end(self, follow: Follow) -> None:
        """End a subscription; nobody waits for that, but who wants a new one waits for its end."""

        def ended(_call: Call) -> None:
            if follow.stage is Stage.LEAVING:
                follow.stage = Stage.NONE
            self._follows.forget(follow)
            self._tell()

        follow.stage = Stage.LEAVING
        params = SessionUnsubscribeParams(session_id=follow.session_id)
        self._caller.post(Call("session/unsubscribe", params, ended, bound_to=self._caller.number))

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
