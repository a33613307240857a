"""The sessions one client follows: one subscription each, shared by all its readers. No I/O, no tasks.

A subscription goes on at one place, the head, so only tails that have caught up can share it. A tail that is
behind reads the log until it has. When the last tail of a session is gone, its subscription is ended.
"""

import weakref
from enum import Enum
from typing import Final

from holdfast_client.core.tail import Tail
from holdfast_protocol.methods.subscribe import SessionEventsParams, SessionSubscribeResult


class Stage(Enum):
    """Where a subscription stands."""

    NONE = "none"
    SUBSCRIBING = "subscribing"  # Asked for, not answered: batches that come are an earlier one's.
    LIVE = "live"
    LEAVING = "leaving"  # Its end was asked for and is not answered.


class Follow:
    """One session's subscription on the present connection.

    Attributes:
        stage: changed by `Follows` and whoever makes the calls.
        cursor: the last seq of the batch that came last.
        epoch: of the log.
    """

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.stage = Stage.NONE
        self.cursor = 0
        self.epoch = ""
        self.tails: weakref.WeakSet[Tail] = weakref.WeakSet()
        # Weak: a reader that was let go of without being closed must not be fed for ever.

    def started(self, result: SessionSubscribeResult) -> None:
        """The subscription was answered: batches follow from `result.from_`."""
        self.stage = Stage.LIVE
        self.cursor = result.from_ - 1
        self.epoch = result.epoch

    def admit(self, tail: Tail) -> bool:
        """Let a tail share the subscription, if it has caught up with it; tell whether it does."""
        if self.stage is not Stage.LIVE or tail.cursor < self.cursor or tail.epoch != self.epoch:
            return False
        self.tails.add(tail)
        tail.join()
        return True

    def receive(self, batch: SessionEventsParams) -> None:
        """Hand a batch on. One that does not go on where the last ended is not believed: all read the log."""
        if self.stage is not Stage.LIVE or batch.epoch != self.epoch:
            return
        if batch.from_ != self.cursor + 1:
            self.end()
            return
        for tail in list(self.tails):
            if not tail.put_batch(batch):
                self.tails.discard(tail)
        self.cursor = batch.to

    def end(self) -> None:
        """There is no subscription any more; the tails hold their cursors."""
        self.stage = Stage.NONE
        for tail in list(self.tails):
            tail.drop()
        self.tails.clear()


class Follows:
    """All sessions of one client that have a subscription, or are about to."""

    def __init__(self) -> None:
        self._follows: Final[dict[str, Follow]] = {}

    def __len__(self) -> int:
        return len(self._follows)

    def of(self, session_id: str) -> Follow:
        """Give a session's; made if there is none."""
        return self._follows.setdefault(session_id, Follow(session_id))

    def receive(self, batch: SessionEventsParams) -> Follow | None:
        """Hand a batch on; give the follow if nobody reads it any more and it is to be ended."""
        follow = self._follows.get(batch.session_id)
        if follow is None:
            return None
        follow.receive(batch)
        return follow if follow.stage is Stage.LIVE and not follow.tails else None

    def gap(self, session_id: str) -> None:
        """The daemon left events out: those who follow read them from the log."""
        follow = self._follows.get(session_id)
        if follow is not None and follow.stage is Stage.LIVE:
            follow.end()

    def forget(self, follow: Follow) -> None:
        """Let go of a session that has no subscription and no tails."""
        unused = follow.stage is Stage.NONE and not follow.tails
        if unused and self._follows.get(follow.session_id) is follow:
            del self._follows[follow.session_id]

    def lost(self) -> None:
        """The connection is gone, and all subscriptions with it."""
        for follow in self._follows.values():
            follow.end()
        self._follows.clear()
