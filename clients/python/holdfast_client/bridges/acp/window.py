"""One session, open in one editor: its events are pumped there, its prompts wait for their runs here.

Closing a window leaves the session as it is. What the editor is told of a session stands behind the answer
that opened the window, never before it: editors drop what comes too early. A replay alone stands before.
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from holdfast_client.aio.client import Client
from holdfast_client.aio.event_stream import EventStream
from holdfast_client.aio.rpc import new_id
from holdfast_client.aio.session import Session
from holdfast_client.bridges.acp import choices
from holdfast_client.bridges.acp.peer import Peer
from holdfast_client.bridges.acp.refusals import Refusal, no_session, refusal_of
from holdfast_client.bridges.acp.transcript import Shows, Transcript, Update
from holdfast_client.bridges.acp.turns import Turn, interrupted
from holdfast_client.core.tail import AnyEvent
from holdfast_client.errors import ClientError, ConnectionLost, LogChanged, NoAnswer
from holdfast_protocol import events
from holdfast_protocol.content import ContentBlock
from holdfast_protocol.errors import Busy, Conflict, CursorInvalid, NotFound, RpcError
from holdfast_protocol.foreign.acp import sessions, updates
from holdfast_protocol.methods.catalogue import ModelInfo
from holdfast_protocol.snapshot import Snapshot

_logger = logging.getLogger(__name__)

EVENTS_AT_ONCE: Final = 256
"""Taken from the session before the editor's outbox is looked at again."""

PAGE_EVENTS: Final = 500

FLUSH_S: Final = 0.25
"""How often the growing output of a tool is shown; each time whole, so not for every piece."""

OWN_PROMPTS_MAX: Final = 4096
"""Prompts of this editor that are remembered as such; older ones have run long ago."""

TURNS_MAX: Final = 256
"""Prompts of one editor that wait in one session, as many as a session queues."""

_REPLAYED: Final = tuple(
    kind
    for kind in events.TAGS
    if kind not in events.DELTA_TAGS and kind not in ("content_block_start", "message_completed")
)

_GONE = (NotFound, LogChanged, CursorInvalid)


class Window:
    """One session in one editor. One owner, who opens it, answers, and runs it in a task.

    Args:
        client: connected.
        session: the session.
        peer: the editor.
        shows: what the editor takes.
        models: those there are.

    Attributes:
        session: the session.
        cwd: its directory.
        roots: further directories of it.
        transcript: what the editor sees.
        turns: prompts that are not answered yet, oldest first.
        run_id: of the run that goes on, whoever began it.
    """

    def __init__(
        self, client: Client, session: Session, peer: Peer, shows: Shows, models: tuple[ModelInfo, ...]
    ) -> None:
        self.session = session
        self.cwd = ""
        self.roots: tuple[str, ...] = ()
        self.turns: list[Turn] = []
        self.run_id: str | None = None
        self._client = client
        self._peer = peer
        self._shows = shows
        self._models = models
        self._own: dict[str, None] = {}  # Prompts of this editor, oldest first.
        self.transcript = Transcript(shows, models, self._own.__contains__)
        self._cursor = 0
        self._answered = anyio.Event()  # A turn's request was; then replaced.
        self._passed = anyio.Event()  # The cursor moved on, or the window closed; then replaced.
        self._opened = anyio.Event()  # The answer that opened it was given.
        self._held: list[Update] = []  # To be told as soon as that is.
        self._state: dict[str, Any] = {}
        self._scope = anyio.CancelScope()
        self._tasks: TaskGroup | None = None
        self._commands: tuple[updates.Command, ...] | None = None

    # Opening -------------------------------------------------------------------------------------------

    async def replay(self) -> None:
        """Tell the editor the whole session, up to its head now.

        Raises:
            RpcError, ClientError: it cannot be read.
        """
        found = await self.session.get()
        snapshot = found.snapshot
        after = 0
        while after < snapshot.head:
            page = await self._client.rpc.session_read(
                session_id=self.session.id, after=after, types=_REPLAYED, limit=PAGE_EVENTS
            )
            some = [event for event in map(_decoded, page.events) if event.seq <= snapshot.head]
            self._tell(self.transcript.replay(some))
            await self._peer.flow()
            after = page.to
        self._tell(self.transcript.join(snapshot, told_before=True))
        self._place(snapshot, found.session.epoch)

    async def resume(self) -> None:
        """Begin at the head: the editor has what came before.

        Raises:
            RpcError, ClientError: it cannot be read.
        """
        found = await self.session.get()
        self._held = list(self.transcript.join(found.snapshot, told_before=False))
        self._place(found.snapshot, found.session.epoch)
        if found.snapshot.runs:
            used = await self._client.rpc.usage_get(session_id=self.session.id)
            for share in (used.total.reported, used.total.estimated):
                self.transcript.spent(share.costs)

    def _place(self, snapshot: Snapshot, epoch: str) -> None:
        self._cursor = snapshot.head
        self.session.epoch = epoch
        self.run_id = snapshot.run.run_id if snapshot.run is not None else None
        if snapshot.settings is not None:
            self.cwd, self.roots = snapshot.settings.cwd, snapshot.settings.roots
        self._state = {
            "state": snapshot.status,
            "runId": self.run_id,
            "openRequests": [request.request_id for request in snapshot.requests],
        }

    def answer(self, *, with_id: bool) -> sessions.SessionOpened:
        """Give what the call that opened it is answered: also whether a run goes on, in `_meta`."""
        chosen = self.transcript.chosen
        return sessions.SessionOpened(
            session_id=self.session.id if with_id else None,
            modes=choices.mode_state(chosen),
            config_options=choices.options(chosen, self._models),
            meta={"holdfast": self._state},
        )

    def options_after(self, change: dict[str, str]) -> tuple[sessions.SelectOption, ...]:
        """Give all options as they are once a change is in the log."""
        return choices.options(choices.after(self.transcript.chosen, change), self._models)

    def open(self) -> None:
        """The answer was given: go on."""
        self._opened.set()

    # Running -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Pump until the window is closed or the session is gone."""
        try:
            with self._scope:
                await self._opened.wait()
                self._tell(self._held)
                self._held = []
                async with anyio.create_task_group() as self._tasks:
                    self._do(self.session.attend)
                    self._do(self.tell_commands)
                    await self._follow()
                    self._tasks.cancel_scope.cancel()
        finally:
            self._tasks = None
            self._end_turns(no_session(self.session.id))
            self._passed.set()

    def close(self) -> None:
        """Stop; prompts that wait are answered as cancelled."""
        for turn in self.turns:
            turn.is_cancelled = True
        self._scope.cancel()

    async def _follow(self) -> None:
        stream = self.session.events(self._cursor, epoch=self.session.epoch)
        try:
            while True:
                try:
                    while await self._pump(stream):
                        pass
                except (ConnectionLost, NoAnswer) as lost:
                    self._end_turns(refusal_of(lost))
                    await self._client.wait_connected()
                else:
                    return
        except _GONE as gone:
            _logger.info("session %s is gone: %s", self.session.id, gone)
        finally:
            stream.close()

    async def _pump(self, stream: EventStream) -> bool:
        """Tell the editor of some events; False at the session's end."""
        some: list[AnyEvent] | None = None
        with anyio.move_on_after(FLUSH_S if self.transcript.is_stale else None):
            some = await stream.receive_some(EVENTS_AT_ONCE)
        if some is None:
            self._tell(self.transcript.flush())
            return True
        for event, told in self.transcript.apply(some):
            self._tell(told)
            self._note(event)
            while any(turn.outcome is not None for turn in self.turns):
                await self._answered.wait()  # A turn is answered before the next run is told of.
        if some:
            self._cursor = some[-1].seq
            self._passed.set()
            self._passed = anyio.Event()
        await self._peer.flow()
        return bool(some)

    async def shown(self, seq: int) -> None:
        """Wait until the editor was told of an event."""
        await self._opened.wait()
        while self._cursor < seq and not self._scope.cancel_called:
            await self._passed.wait()

    async def was_asked(self, tool_call_id: str) -> bool:
        """Tell whether a person, or a rule of theirs, allowed a call that starts now.

        False of a call that nothing but the mode `auto` let through.
        """
        await self._opened.wait()
        while tool_call_id not in self.transcript.begun and not self._scope.cancel_called:
            await self._passed.wait()
        return self.transcript.begun.get(tool_call_id, False) or self.transcript.mode != "auto"

    def _tell(self, some: Iterable[Update]) -> None:
        for update in some:
            params = updates.SessionUpdate(session_id=self.session.id, update=update)
            self._peer.notify("session/update", params)

    def tell(self, *some: Update) -> None:
        """Tell the editor something that is no event."""
        self._tell(some)

    def notice(self, title: str) -> None:
        """Tell a person something, if the editor shows such."""
        if self._shows.notices:
            self.tell(updates.Notice(severity="info", title=title))

    def _do(self, call: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        """Make a call nobody waits for."""
        if self._tasks is not None:
            self._tasks.start_soon(self._attempt, call, arguments)

    async def _attempt(self, call: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]) -> None:
        try:
            await call(*arguments)
        except (RpcError, ClientError) as error:
            _logger.info("session %s: %s", self.session.id, error)

    # What events mean for prompts ----------------------------------------------------------------------

    def _note(self, event: AnyEvent) -> None:
        match event:
            case events.RunStarted():
                self.run_id = event.run_id
                for turn in self.turns:
                    if turn.started(event) and turn.is_cancelled:
                        self._do(self._withdraw, turn)
            case events.RunCompleted() | events.RunFailed() | events.RunCancelled() | events.RunInterrupted():
                self.run_id = None
                for turn in [turn for turn in self.turns if turn.run_id == event.run_id]:
                    self._terminal(turn, event)
                self._do(self.tell_commands)
            case events.PromptRemoved():
                for turn in self.turns:
                    if turn.prompt_id == event.prompt_id:
                        turn.removed()
            case _:
                pass

    def _terminal(self, turn: Turn, event: events.Terminal) -> None:
        if turn.terminal(event, self.transcript.unknown_calls) == "continue":
            assert isinstance(event, events.RunInterrupted)
            self._do(self._continue, turn, event)

    async def _continue(self, turn: Turn, event: events.RunInterrupted) -> None:
        """Take up a run that the daemon's end cut; another window may do so before us."""
        if event.cause == "shutdown":
            self.notice("The holdfast daemon stops; the run goes on when it is back.")
        try:
            await self.session.continue_()
            self.notice("The holdfast daemon was restarted; the run goes on.")
        except (Busy, Conflict) as taken:
            if turn.run_id == event.run_id and self.run_id is None:
                turn.end(interrupted(event.cause, taken.message))
        except (RpcError, ClientError) as error:
            turn.end(refusal_of(error))

    def _end_turns(self, refusal: Refusal) -> None:
        for turn in self.turns:
            turn.end(refusal)

    # Prompts -------------------------------------------------------------------------------------------

    def begin(self) -> Turn:
        """Make a turn, before anything else is read.

        Raises:
            Refusal: too many wait.
        """
        if len(self.turns) >= TURNS_MAX:
            raise Refusal(-32603, f"At most {TURNS_MAX} prompts wait at once.", {"kind": "overloaded"})
        turn = Turn(self.own_prompt_id())
        self.turns.append(turn)
        return turn

    def own_prompt_id(self) -> str:
        """Give an id for a prompt of this editor's, which shows it by itself."""
        prompt_id = new_id()
        self._own[prompt_id] = None
        if len(self._own) > OWN_PROMPTS_MAX:
            del self._own[next(iter(self._own))]
        return prompt_id

    async def admit(self, turn: Turn, content: tuple[ContentBlock, ...]) -> None:
        """Send a turn's prompt; what becomes of it is in the events. Errors end the turn."""
        if turn.is_cancelled:
            turn.removed()
            return
        try:
            admitted = await self.session.prompt(content, prompt_id=turn.prompt_id)
            turn.run_id = turn.run_id or admitted.run_id
            if turn.is_cancelled:
                await self._withdraw(turn)
        except (RpcError, ClientError) as error:
            turn.end(refusal_of(error))

    def finish(self, turn: Turn) -> None:
        """The turn's request was answered."""
        self.turns.remove(turn)
        self._answered.set()
        self._answered = anyio.Event()

    def cancel(self) -> None:
        """Cancel this editor's prompts; if there are none, the run it watches."""
        for turn in self.turns:
            self.cancel_turn(turn)
        if not self.turns and self.run_id is not None:
            self._do(self.session.cancel, self.run_id)

    def cancel_turn(self, turn: Turn) -> None:
        """Cancel one prompt: its run, or its place in the queue."""
        if not turn.is_cancelled:
            turn.is_cancelled = True
            self._do(self._withdraw, turn)

    async def _withdraw(self, turn: Turn) -> None:
        if turn.run_id is not None:
            await self.session.cancel(turn.run_id)
            return
        with contextlib.suppress(NotFound):  # On its way: its run's start cancels it, or its admission.
            await self.session.queue_remove(turn.prompt_id)

    # Commands ------------------------------------------------------------------------------------------

    async def tell_commands(self) -> None:
        """Tell which slash commands there are, if that is new."""
        found = await self._client.rpc.command_list(session_id=self.session.id)
        commands = tuple(
            updates.Command(
                name=command.name,
                description=command.description,
                input=updates.Hint(hint=command.hint) if command.hint else None,
            )
            for command in found.commands
        )
        if commands != self._commands:
            self._commands = commands
            self.tell(updates.CommandsUpdate(available_commands=commands))


def _decoded(body: Any) -> AnyEvent:
    return events.decode(bytes(body))
