"""One session of the daemon, as a program sees it. A handle: making one asks nobody."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, overload

from msgspec import UNSET, UnsetType

from holdfast_client.aio.event_stream import After, EventStream, Follow
from holdfast_client.aio.event_tree import EventTree
from holdfast_client.aio.parts import Parts, make_stream, make_tree
from holdfast_client.aio.rpc import new_id
from holdfast_client.aio.run import Run
from holdfast_client.core.hosted import Function, Tool
from holdfast_client.core.run_result import RunResult
from holdfast_client.core.tail import AnyEvent
from holdfast_protocol.content import ContentBlock, TextBlock
from holdfast_protocol.events import Json, Mode, RequestOpened, Thinking, Unattended, decode
from holdfast_protocol.events.prompt import Delivery
from holdfast_protocol.methods.prompt import (
    QueueListResult,
    SessionCancelResult,
    SessionContinueResult,
    SessionPromptParams,
    SessionPromptResult,
    SessionWaitResult,
)
from holdfast_protocol.methods.request import RequestRespondResult, Scope
from holdfast_protocol.methods.session import MutationResult, SessionDeleteResult, SessionGetResult
from holdfast_protocol.methods.subscribe import READ_EVENTS_MAX

Content = str | ContentBlock | Sequence[ContentBlock]
"""A text, a content block, or several."""


def content_of(content: Content) -> tuple[ContentBlock, ...]:
    """Give content as blocks."""
    if isinstance(content, str):
        return (TextBlock(text=content),)
    return tuple(content) if isinstance(content, Sequence) else (content,)


class Session:
    """One session.

    Every method may raise the errors of its call (PROTOCOL.md) as classes of `holdfast_protocol.errors`,
    `NotFound` for example, and `ConnectionLost`.

    Attributes:
        id: the session's id.
        epoch: of its log, if known.
    """

    def __init__(self, parts: Parts, session_id: str, epoch: str | None = None) -> None:
        self._parts = parts
        self._rpc = parts.rpc
        self.id = session_id
        self.epoch = epoch

    def __repr__(self) -> str:
        return f"Session({self.id!r})"

    # Prompts and runs ----------------------------------------------------------------------------------

    async def prompt(
        self,
        content: Content,
        *,
        prompt_id: str | None = None,
        delivery: Delivery = "queue",
        model: str | None = None,
        mode: Mode | None = None,
    ) -> SessionPromptResult:
        """Send a prompt; it is durable when this returns. See `stream` and `run` for what becomes of it."""
        await self._parts.attendance.attend(self.id)
        params = self._prompt(content, prompt_id, delivery, model, mode)
        return await self._rpc.perform("session/prompt", params, SessionPromptResult)

    def stream(
        self,
        content: Content,
        *,
        prompt_id: str | None = None,
        delivery: Delivery = "queue",
        model: str | None = None,
        mode: Mode | None = None,
        deltas: bool = True,
    ) -> Run:
        """Give a prompt and its run, to be entered and iterated."""
        params = self._prompt(content, prompt_id or new_id(), delivery, model, mode)
        parts = self._parts

        def follow(after: int) -> EventStream:
            return make_stream(self._rpc, parts.follower, Follow(self.id, after, deltas=deltas))

        return Run(self._rpc, parts.attendance, params, follow)

    async def run(
        self,
        content: Content,
        *,
        prompt_id: str | None = None,
        delivery: Delivery = "queue",
        model: str | None = None,
        mode: Mode | None = None,
    ) -> RunResult:
        """Send a prompt, wait for the end of its run, and give what it came to."""
        stream = self.stream(
            content, prompt_id=prompt_id, delivery=delivery, model=model, mode=mode, deltas=False
        )
        async with stream as run:
            return await run.result()

    async def cancel(
        self, run_id: str | None = None, *, tool_call_id: str | None = None, clear_queue: bool = False
    ) -> SessionCancelResult:
        """Cancel the current run, or a named one, or one tool call.

        Without `run_id` and `tool_call_id` it is not sent again if the connection is lost before the answer:
        it might hit another run by then.
        """
        return await self._rpc.session_cancel(
            session_id=self.id, run_id=run_id, tool_call_id=tool_call_id, clear_queue=clear_queue
        )

    async def wait(
        self, *, run_id: str | None = None, prompt_id: str | None = None, timeout_s: float = 3600
    ) -> SessionWaitResult:
        """Wait for the end of a run; give `run_id` or `prompt_id`. `done` is false if the time ran out."""
        return await self._rpc.session_wait(
            session_id=self.id, run_id=run_id, prompt_id=prompt_id, timeout_ms=int(timeout_s * 1000)
        )

    async def continue_(self) -> SessionContinueResult:
        """Take up a run that failed or was interrupted, and let the queue go on."""
        return await self._rpc.session_continue(session_id=self.id)

    def _prompt(
        self,
        content: Content,
        prompt_id: str | None,
        delivery: Delivery,
        model: str | None,
        mode: Mode | None,
    ) -> SessionPromptParams:
        return SessionPromptParams(
            session_id=self.id,
            content=content_of(content),
            prompt_id=prompt_id,
            delivery=delivery,
            model=model,
            mode=mode,
        )

    # Events --------------------------------------------------------------------------------------------

    @overload
    def events(
        self,
        after: After = 0,
        *,
        epoch: str | None = None,
        types: Sequence[str] | None = None,
        deltas: bool = True,
        tree: Literal[False] = False,
    ) -> EventStream: ...

    @overload
    def events(
        self,
        after: After = 0,
        *,
        epoch: str | None = None,
        types: Sequence[str] | None = None,
        deltas: bool = True,
        tree: Literal[True],
    ) -> EventTree: ...

    def events(
        self,
        after: After = 0,
        *,
        epoch: str | None = None,
        types: Sequence[str] | None = None,
        deltas: bool = True,
        tree: bool = False,
    ) -> EventStream | EventTree:
        """Iterate the session's events, then those to come.

        Args:
            after: the last seq you have: what follows it is given. `"head"`: only what is new (enter the
                stream to settle where that is). Default: from the start.
            epoch: of the log `after` belongs to; checked if given.
            types: only these, as `("run_completed",)`.
            deltas: also `token_delta` and `tool_output`, which the end of their block repeats whole.
            tree: also the events of the sessions its agents began, as `TreeEvent`s that say whose they are.
        """
        follow = Follow(self.id, after, epoch, types, deltas)
        make = make_tree if tree else make_stream
        return make(self._rpc, self._parts.follower, follow)

    async def read(
        self, after: int = 0, *, limit: int = READ_EVENTS_MAX, types: Sequence[str] | None = None
    ) -> list[AnyEvent]:
        """Give a page of the log: events after a seq, oldest first; fewer than `limit` if they are large."""
        page = await self._rpc.session_read(
            session_id=self.id, after=after, limit=limit, types=tuple(types) if types is not None else None
        )
        return [decode(bytes(body)) for body in page.events]

    # The session itself --------------------------------------------------------------------------------

    async def get(self) -> SessionGetResult:
        """Give its row of the list and its snapshot, at one head."""
        return await self._rpc.session_get(session_id=self.id)

    async def update(
        self,
        *,
        title: str | UnsetType = UNSET,
        archived: bool | UnsetType = UNSET,
        agent: str | UnsetType = UNSET,
        model: str | UnsetType = UNSET,
        thinking: Thinking | UnsetType = UNSET,
        mode: Mode | UnsetType = UNSET,
        unattended: Unattended | UnsetType = UNSET,
        meta: Any | UnsetType = UNSET,
        expect: int | None = None,
    ) -> MutationResult:
        """Change its settings; what is not given stays. `expect`: only if the head is still there."""
        return await self._rpc.session_update(
            session_id=self.id,
            title=title,
            archived=archived,
            agent=agent,
            model=model,
            thinking=thinking,
            mode=mode,
            unattended=unattended,
            meta=meta,
            expect=expect,
        )

    async def close(self, *, if_idle: bool = False) -> MutationResult:
        """Unload it from the daemon's memory; a run is cancelled first, unless `if_idle`. Nothing is lost."""
        return await self._rpc.session_close(session_id=self.id, if_idle=if_idle)

    async def delete(self) -> SessionDeleteResult:
        """Delete it and its log, for good."""
        return await self._rpc.session_delete(session_id=self.id)

    async def fork(self, at: int | None = None, *, title: str | None = None) -> "Session":
        """Make a session that begins with this one's events up to and with `at`; default: all of them."""
        made = await self._rpc.session_fork(session_id=self.id, at=at, title=title)
        return Session(self._parts, made.session_id, made.epoch)

    async def export(self) -> AsyncIterator[str]:
        """Iterate the lines of an export file, without their newlines."""
        after: int | None = 0
        while after is not None:
            page = await self._rpc.session_export(session_id=self.id, after=after)
            for line in page.lines:
                yield line
            after = page.next

    # Queue ---------------------------------------------------------------------------------------------

    async def queue(self) -> QueueListResult:
        """List the waiting prompts, the next to run first."""
        return await self._rpc.queue_list(session_id=self.id)

    async def queue_update(
        self, prompt_id: str, *, content: Content | None = None, position: int | None = None
    ) -> MutationResult:
        """Change a waiting prompt, or move it (places count from 1)."""
        return await self._rpc.queue_update(
            session_id=self.id,
            prompt_id=prompt_id,
            content=None if content is None else content_of(content),
            position=position,
        )

    async def queue_remove(self, prompt_id: str | None = None) -> MutationResult:
        """Remove a waiting prompt, or all."""
        return await self._rpc.queue_remove(session_id=self.id, prompt_id=prompt_id)

    # People and tools ----------------------------------------------------------------------------------

    async def requests(self) -> tuple[RequestOpened, ...]:
        """List its open requests, oldest first."""
        found = await self._rpc.request_list(session_id=self.id)
        return tuple(item.request for item in found.requests)

    async def respond(
        self,
        request_id: str,
        outcome: str,
        *,
        scope: Scope = "once",
        message: str | None = None,
        values: dict[str, Json] | None = None,
    ) -> RequestRespondResult:
        """Answer a request: `allow`, `deny`, or the id of one of its options. The first answer counts.

        Args:
            request_id: which.
            outcome: see above.
            scope: how far an answer to a permission reaches.
            message: for the model.
            values: what a form is filled in with, by the names of its fields.
        """
        return await self._rpc.request_respond(
            session_id=self.id,
            request_id=request_id,
            outcome=outcome,
            scope=scope,
            message=message,
            values=values,
        )

    async def attend(self) -> None:
        """Have the client's `answer` callback asked for this session's requests, also those that wait.

        Sessions this client makes or prompts are attended without it. Does nothing without a callback.
        """
        await self._parts.attendance.attend(self.id)

    async def leave(self) -> None:
        """Have the callback asked for its requests no more, until it is attended or prompted again.

        For the daemon nobody is here any more, as far as this client goes.
        """
        self._parts.attendance.leave(self.id)

    async def host_tools(self, tools: Mapping[str, Tool | Function]) -> int:
        """Offer the session tools that this program runs; give how many there are.

        They replace those it offered before; an empty mapping offers none. They are there for as long as
        this client is, over lost connections too.

        Args:
            tools: functions by the model's names for them; see `Tool` for what can be said about one.
        """
        return await self._parts.hosting.host(self.id, tools)
