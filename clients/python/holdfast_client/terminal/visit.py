"""A person in one session: shows what happens, does what is wished, until they leave."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, TextIO

import anyio
import anyio.abc
from anyio import lowlevel
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import ThreadedCompleter
from prompt_toolkit.input import Input

from holdfast_client.aio import Client, EventStream
from holdfast_client.aio.rpc import new_id
from holdfast_client.core.tail import AnyEvent
from holdfast_client.errors import ClientError, ConnectionLost, NoAnswer
from holdfast_client.terminal import changes, commands, proposals
from holdfast_client.terminal.actions import MODES, Actions
from holdfast_client.terminal.commands import Line
from holdfast_client.terminal.completion import TerminalCompleter, without_marks
from holdfast_client.terminal.dashboard import Dashboard
from holdfast_client.terminal.glyphs import Glyphs
from holdfast_client.terminal.history import BoundedHistory
from holdfast_client.terminal.items import Noted, Told, Tone
from holdfast_client.terminal.joining import Past
from holdfast_client.terminal.keys import bindings
from holdfast_client.terminal.outbox import Outbox
from holdfast_client.terminal.paper import Paper
from holdfast_client.terminal.questions import Question, Questions
from holdfast_client.terminal.screen import Screen, open_output
from holdfast_client.terminal.transcript import Transcript
from holdfast_protocol import events
from holdfast_protocol.errors import RpcError
from holdfast_protocol.events import Delivery
from holdfast_protocol.view import View

TICK_S: Final = 0.1
ITEMS_AT_ONCE: Final = 40
"""Drawn in one go: some 30 ms."""

SEND_TRIES_MAX: Final = 12

LEAVE: Final = 2
"""Ctrl-C so often in a row leaves."""

_OFFLINE: Final = "offline/"
_WELCOME: Final = (
    "offline/rehearsal is not an AI, but its tools are real. "
    "Try: list files, search for TODO, run ls -l, help. /model shows the models there are."
)


class Surroundings(NamedTuple):
    """What the terminal is and how it is to be used.

    Attributes:
        keyboard: where keys come from.
        stream: where to draw.
        term: the terminal's type.
        color: whether colours are used.
        glyphs: the signs it can show.
        history: the file of earlier prompts.
        me: the client's id, as events name it.
    """

    keyboard: Input
    stream: TextIO
    term: str
    color: bool
    glyphs: Glyphs
    history: Path
    me: str


Manner = Literal["detached", "interrupted", "ended", "switched"]


class Departure(NamedTuple):
    """How a visit ended: by a wish, by Ctrl-C or a signal, with the session itself, or to another one."""

    how: Manner
    session_id: str


class Visit:
    """One visit; carries out what keys mean (`keys.Wishes`) and is what is drawn (`dashboard.State`).

    Args:
        client: entered; its `answer` callback is that of `questions`.
        past: of the session.
        questions: what the client asks this person.
        surroundings: see there.
        tasks: where calls run.

    Attributes:
        view: the session's present state.
        transcript: what is read of it.
        cost: of the session; None: older runs were not looked at.
        cancelling: the run that was told to stop.
        hint: what a key would do now.
        unsent: prompts that no daemon has taken yet.
    """

    def __init__(
        self,
        client: Client,
        past: Past,
        questions: Questions,
        surroundings: Surroundings,
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self._client = client
        self._past = past
        self._session = client.session(past.found.session.session_id)
        self._questions = questions
        self._tasks = tasks
        self.view = View(past.found.snapshot)
        self.transcript = Transcript(changes.read_text, surroundings.me)
        self.cost: float | None = 0.0 if past.is_whole else None
        self.cancelling: str | None = None
        self.hint = ""
        self.unsent = 0
        self._interrupts = 0  # In a row.
        self._was_connected = True
        self._outbox = Outbox(tasks, self._note)
        self._actions = Actions(client, self._session, lambda: self.view, lambda: self.cost, self._switch)
        self._dashboard = Dashboard(self, questions, surroundings.glyphs, lambda: client.connected)
        self._buffer = self._make_buffer(surroundings.history)
        self._screen = self._make_screen(surroundings)
        self._paper = Paper(self._screen, color=surroundings.color, glyphs=surroundings.glyphs)
        questions.on_open, questions.is_shown = self._asked, self._is_shown
        questions.on_misfit = self._note

    def _make_buffer(self, history: Path) -> Buffer:
        completer = TerminalCompleter(lambda: self.transcript.cwd, lambda kind: self._actions.known[kind])
        return Buffer(
            completer=ThreadedCompleter(completer),
            complete_while_typing=True,
            history=BoundedHistory(history),
            multiline=True,
            on_text_changed=self._typed,
        )

    def _make_screen(self, surroundings: Surroundings) -> Screen:
        return Screen(
            open_output(surroundings.stream, surroundings.term),
            surroundings.keyboard,
            self._buffer,
            bindings(self, self._questions, self._buffer),
            above=lambda rows: self._dashboard.above(self._paper, self._screen.width, rows),
            label=self._dashboard.label,
            below=lambda: self._dashboard.footer(self._screen.width),
            color=surroundings.color,
            on_resize=lambda: self._paper.repaint(),  # noqa: PLW0108 - there is no paper yet
        )

    async def stay(self, first_prompt: str | None) -> Departure:
        """Stay until the person leaves.

        Args:
            first_prompt: sent first, if there is one.
        """
        self._show_past()
        for question in self._questions:
            self._asked(question.session_id, question.request)
        snapshot, epoch = self._past.found.snapshot, self._past.found.session.epoch
        self._tasks.start_soon(self._follow, self._session.events(snapshot.head, epoch=epoch))
        for part in (self._look, self._tick, self._listen_to_signals):
            self._tasks.start_soon(part)
        if first_prompt is not None:
            self._outbox.begin(self._send, first_prompt, "queue")
        try:
            return await self._screen.run()
        except EOFError:  # The terminal was closed.
            return self._departure("detached")

    def _departure(self, how: Manner) -> Departure:
        return Departure(how, self._session.id)

    # The session --------------------------------------------------------------------------------------

    def _show_past(self) -> None:
        past = self._past
        for event in past.history:
            self._count(event)
        if not past.is_whole:
            self._note(f"earlier: holdfast logs {self._session.id}")
        self.transcript.replay(past.history, past.found.snapshot, past.requests)
        self._paper.print(self.transcript.take_settled())
        if self.view.runs == 0 and past.found.session.model.startswith(_OFFLINE):
            self._note(_WELCOME, "plain")

    async def _follow(self, stream: EventStream) -> None:
        """Show what happens, over as many connections as it takes, until the session is gone."""
        while True:
            try:
                some = await stream.receive_some()
            except (ConnectionLost, NoAnswer):
                await self._client.wait_connected()
            except (RpcError, ClientError) as gone:
                self._note(str(gone), "error")
                break
            else:
                if not some:
                    break
                await self._show(some)
        self._screen.leave(self._departure("ended"))

    async def _show(self, some: Sequence[AnyEvent]) -> None:
        for event in some:
            self.view.apply(event)
            self.transcript.apply(event)
            self._count(event)
            if isinstance(event, events.RunStarted | events.Terminal):
                self.cancelling = None
                self._begin_anew()
        settled = self.transcript.take_settled()
        for at in range(0, len(settled), ITEMS_AT_ONCE):
            self._paper.print(settled[at : at + ITEMS_AT_ONCE])
            await lowlevel.checkpoint()  # Keys are looked at also while much comes at once.
        self._screen.refresh()

    def _count(self, event: AnyEvent) -> None:
        if isinstance(event, events.UsageUpdated) and event.cost is not None and self.cost is not None:
            self.cost += event.cost.amount

    async def _look(self) -> None:
        """Learn what can be completed; without it one types."""
        try:
            await self._actions.look()
        except (RpcError, ClientError):
            return

    async def _tick(self) -> None:
        """Let time be seen to pass while something goes on."""
        while True:
            await anyio.sleep(TICK_S)
            key = self._questions.settle()
            if key is not None and key == self._buffer.text:
                self._answer(key)
            connected = self._client.connected
            if self.view.run is not None or len(self._questions) or not (connected and self._was_connected):
                self._screen.refresh()
            self._was_connected = connected

    async def _listen_to_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as signals:
            async for _signal in signals:
                self._screen.leave(self._departure("interrupted"))

    # Questions ----------------------------------------------------------------------------------------

    def _asked(self, session_id: str, request: events.RequestOpened) -> None:
        """Show what an agent's session asks about; this session's own requests are in its transcript."""
        if session_id != self._session.id:
            self._note(f"session {session_id} asks", "plain")
            proposal = proposals.proposal_of(request, self.transcript.cwd, changes.read_text)
            self._paper.print([proposal] if proposal is not None else [])
        self._screen.refresh()

    def _is_shown(self, question: Question) -> bool:
        is_own = question.session_id == self._session.id
        return not is_own or self.transcript.has_asked(question.request.request_id)

    def _answer(self, key: str) -> None:
        self._buffer.reset()
        self._questions.press(key)
        self._screen.refresh()

    # Wishes -------------------------------------------------------------------------------------------

    def submit(self, delivery: Delivery) -> None:
        """See `Wishes`."""
        text = self._buffer.text
        if self._questions.wants_words:
            self._buffer.reset()
            self._questions.say(text)
        elif self._questions.offers(text):
            self._answer(text)
        elif text.strip():
            self._buffer.append_to_history()
            self._buffer.reset()
            self._questions.sent()
            self._begin_anew()
            self._do(text, delivery)

    def _do(self, text: str, delivery: Delivery) -> None:
        line = commands.parse(text)
        match line:
            case None:
                self._outbox.begin(self._send, without_marks(text, self.transcript.cwd), delivery)
            case Line("detach"):
                self.detach()
            case Line("cancel"):
                self._cancel()
            case Line("thinking"):
                self.toggle_thinking()
            case Line("steer" | "interrupt" as how, argument) if argument:
                self._outbox.begin(self._send, argument, how)
            case Line("steer" | "interrupt" as how):
                self._note(f"say what: /{how} TEXT", "warning")
            case _:
                self._outbox.begin(self._perform, line)

    def interrupt(self) -> None:
        """See `Wishes`."""
        run = self.view.run
        if self._buffer.text and run is None:
            self._buffer.reset()
            return
        self._interrupts += 1
        if self._interrupts >= LEAVE:
            self._screen.leave(self._departure("interrupted"))
        elif run is None:
            self.hint = "nothing runs; Ctrl-C again leaves"
        else:
            self.hint = "Ctrl-C again leaves"
            self._cancel()
        self._screen.refresh()

    def detach(self) -> None:
        """See `Wishes`."""
        self._screen.leave(self._departure("detached"))

    def next_mode(self) -> None:
        """See `Wishes`."""
        settings = self.view.settings
        if settings is not None:
            mode = MODES[(MODES.index(settings.mode) + 1) % len(MODES)]
            self._outbox.begin(self._actions.set_mode, mode)

    def toggle_thinking(self) -> None:
        """See `Wishes`."""
        self._paper.unfold(unfolded=not self._paper.is_unfolded)
        thought = self.transcript.thought
        if not self._paper.is_unfolded:
            self._note("thinking is folded")
        elif thought is not None:
            self._paper.print([thought])
        else:
            self._note("thinking is shown")
        self._screen.refresh()

    def show_whole(self) -> None:
        """See `Wishes`."""
        question = self._questions.front
        if question is None or question.request.kind != "permission":
            self._note("nothing is asked that could be shown")
        else:
            self._outbox.begin(self._show_whole, question.request)

    async def _show_whole(self, request: events.RequestOpened) -> None:
        for part in proposals.whole_of(request, self.transcript.cwd, changes.read_text):
            self._paper.print([part])
            await lowlevel.checkpoint()  # Keys are looked at also while much is shown.

    def _cancel(self) -> None:
        run = self.view.run
        if run is None:
            self._note("nothing runs")
        elif self.cancelling != run.run_id:
            self.cancelling = run.run_id
            self._outbox.begin(self._session.cancel, run.run_id)

    def _switch(self, session_id: str) -> None:
        self._screen.leave(Departure("switched", session_id))

    def _typed(self, buffer: Buffer) -> None:
        if buffer.text:
            self._questions.typed(buffer.text)
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Forget Ctrl-C: something else has happened."""
        self._interrupts = 0
        self.hint = ""

    # Calls --------------------------------------------------------------------------------------------

    async def _send(self, text: str, delivery: Delivery) -> None:
        """Send a prompt, once, over as many lost daemons as it takes within reason."""
        prompt_id = new_id()
        self.unsent += 1
        try:
            for tries_left in reversed(range(SEND_TRIES_MAX)):
                try:
                    await self._session.prompt(text, prompt_id=prompt_id, delivery=delivery)
                except ConnectionLost:
                    if not tries_left:
                        raise
                else:
                    return
        finally:
            self.unsent -= 1

    async def _perform(self, line: Line) -> None:
        shown = await self._actions.perform(line)
        if shown:
            self._paper.print([Told(f"/{line.name} {line.argument}".strip(), shown)])

    def _note(self, text: str, tone: Tone = "dim") -> None:
        self._paper.print([Noted(text, tone)])
