"""Iterating the events of a session and of all sessions its agents began, however deep.

Between sessions no order is promised; within each, events come in order, each once.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, Self

import anyio

from holdfast_client.aio.event_stream import EventStream
from holdfast_client.core.tail import AnyEvent
from holdfast_protocol import events
from holdfast_protocol.errors import NotFound

CHILDREN_MAX: Final = 256
"""Sessions followed at once; further ones wait until one of these has ended."""


class TreeEvent(NamedTuple):
    """An event and whose it is.

    Attributes:
        agent: which agent's session; None for the one the tree begins with.
    """

    session_id: str
    epoch: str
    agent: str | None
    event: AnyEvent


class _Branch(NamedTuple):
    """One session of the tree."""

    stream: EventStream
    agent: str | None


class EventTree:
    """The events of a session and its children. Iterate it; one task at a time.

    A child is followed from its start when its `agent_started` is met, until its agent is done. The tree ends
    when the session it begins with is deleted.

    Args:
        root: makes the first stream; called with what is to be called when there is something new.
        child: makes the stream of a child, given its session id.

    Raises, when iterated: what `EventStream` raises.
    """

    def __init__(
        self,
        root: Callable[[Callable[[], None]], EventStream],
        child: Callable[[str, str, Callable[[], None]], EventStream],
    ) -> None:
        self._changed = anyio.Event()
        self._make_child = child
        self._root = root(self._tell)
        self._branches: dict[str, _Branch] = {self._root.session_id: _Branch(self._root, None)}
        self._waiting: list[events.AgentStarted] = []

    @property
    def cursor(self) -> int:
        """The cursor of the session the tree begins with."""
        return self._root.cursor

    @property
    def epoch(self) -> str | None:
        """The epoch of its log."""
        return self._root.epoch

    @property
    def session_ids(self) -> frozenset[str]:
        """The sessions it follows now."""
        return frozenset(self._branches)

    async def __aenter__(self) -> Self:
        await self._root.open()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TreeEvent:
        event = await self.receive()
        if event is None:
            raise StopAsyncIteration
        return event

    def close(self) -> None:
        """Let go of all sessions."""
        for branch in self._branches.values():
            branch.stream.close()
        self._branches.clear()

    async def settle(self) -> None:
        """Be subscribed to the session the tree begins with, or a page nearer to it."""
        await self._root.fill()

    async def resume(self) -> None:
        """Be live again on a new connection before it is used for anything else.

        Raises:
            RpcError: the session the tree begins with cannot be followed.
        """
        await self._root.resume()

    async def receive(self) -> TreeEvent | None:
        """Wait for the next event of any session; None at the end."""
        while self._root.session_id in self._branches:
            self._changed = anyio.Event()
            await self._fill()
            event = self.receive_nowait()
            if event is not None:
                return event
            if all(branch.stream.is_live for branch in self._branches.values()):
                await self._changed.wait()
        return None

    def receive_nowait(self) -> TreeEvent | None:
        """Give the next event if one is here."""
        for session_id, branch in list(self._branches.items()):
            event = branch.stream.receive_nowait()
            if event is not None:
                self._branches[session_id] = self._branches.pop(session_id)  # The others come first now.
                self._note(event)
                return TreeEvent(session_id, branch.stream.epoch or "", branch.agent, event)
            if branch.stream.is_ended:
                self._drop(session_id)
        return None

    async def receive_some(self, count: int = 1000) -> list[TreeEvent]:
        """Wait for an event, and give it with what else is here, at most `count`; none at the end."""
        first = await self.receive()
        some = [] if first is None else [first]
        while some and len(some) < count and (event := self.receive_nowait()) is not None:
            some.append(event)
        return some

    def _note(self, event: AnyEvent) -> None:
        if isinstance(event, events.AgentStarted):
            self._waiting.append(event)
            self._begin_waiting()
        elif isinstance(event, events.AgentCompleted | events.AgentFailed) and event.session_id:
            branch = self._branches.get(event.session_id)
            if branch is not None:
                branch.stream.finish()

    def _begin_waiting(self) -> None:
        while self._waiting and len(self._branches) <= CHILDREN_MAX:
            started = self._waiting.pop(0)
            if started.session_id not in self._branches:
                stream = self._make_child(started.session_id, started.epoch, self._tell)
                self._branches[started.session_id] = _Branch(stream, started.agent)

    def _drop(self, session_id: str) -> None:
        branch = self._branches.pop(session_id, None)
        if branch is not None:
            branch.stream.close()
        self._begin_waiting()

    async def _fill(self) -> None:
        """Read on in the sessions that are behind, so that a busy one does not keep the others waiting."""
        for branch in list(self._branches.values()):
            if not branch.stream.needs_page:
                continue
            try:
                await branch.stream.fill()
            except NotFound:
                if branch.stream is self._root:
                    raise
                self._drop(branch.stream.session_id)

    def _tell(self) -> None:
        self._changed.set()
