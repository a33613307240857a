"""Everything that can wake a session: the closed union its inbox holds.

Commands of one session are carried out one after the other, in the order they came; each that somebody
waits for is answered once. A cancel is not among them: it acts at once, past the inbox.
"""

from collections import deque
from typing import Any, Generic, TypeVar

import anyio
import msgspec

from holdfast_protocol import events
from holdfast_protocol.content import ContentBlock
from holdfast_protocol.errors import Overloaded, RpcError
from holdfast_protocol.events import Budget, Delivery, Mode
from holdfast_protocol.methods.prompt import QueueUpdateParams, SessionContinueResult, SessionPromptResult
from holdfast_protocol.methods.request import RequestRespondParams, RequestRespondResult
from holdfast_protocol.methods.session import MutationResult, SessionUpdateParams

T = TypeVar("T")

INBOX_MAX = 1024
"""Commands of clients that may wait; every connection's share is bounded by its requests in flight."""


class Idempotency(msgspec.Struct, frozen=True, kw_only=True):
    """A mutating call's key: the same key and digest give the same result.

    Attributes:
        client: whose key it is; empty for a `promptId`, which is anybody's.
        method: the method it was used with.
        key: the key.
        digest: of the params.
    """

    client: str
    method: str
    key: str
    digest: bytes


class Command(Generic[T]):
    """Something a client wants of a session, and the answer on its way back.

    Attributes:
        by: the client's id.
        keys: idempotency keys the result is remembered under.
        number: of a prompt, its place among the session's admissions; 0 for other commands.
        begun: it is being carried out.
        abandoned: the caller no longer waits, and it had not begun: it never will.
    """

    def __init__(self, by: str, keys: tuple[Idempotency, ...] = ()) -> None:
        self.by = by
        self.keys = keys
        self.number = 0
        self.begun = False
        self.abandoned = False
        self._done = anyio.Event()
        self._result: T | None = None
        self._error: RpcError | None = None

    def finish(self, result: T) -> None:
        """Answer."""
        self._result = result
        self._done.set()

    def fail(self, error: RpcError) -> None:
        """Refuse; does nothing if it was answered already."""
        if not self._done.is_set():
            self._error = error
            self._done.set()

    async def answer(self) -> T:
        """Wait for the answer.

        Raises:
            RpcError: it was refused.
        """
        try:
            await self._done.wait()
        except anyio.get_cancelled_exc_class():
            if not self.begun:
                self.abandoned = True
                raise
            # Too late to take it back: the answer is the true one. The scope stays cancelled.
            with anyio.CancelScope(shield=True):
                await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result  # pyright: ignore[reportReturnType] - set with `_done`


class Prompt(Command[SessionPromptResult]):
    """Admit a prompt."""

    def __init__(
        self,
        by: str,
        keys: tuple[Idempotency, ...],
        *,
        content: tuple[ContentBlock, ...],
        prompt_id: str | None,
        delivery: Delivery,
        model: str | None,
        mode: Mode | None = None,
        budget: Budget | None = None,
    ) -> None:
        super().__init__(by, keys)
        self.content = content
        self.command: str | None = None  # What was typed, where the content is what it stands for.
        self.prompt_id = prompt_id
        self.delivery: Delivery = delivery
        self.model = model
        self.mode: Mode | None = mode
        self.budget: Budget | None = budget


class Continue(Command[SessionContinueResult]):
    """Take up the last run."""


class Update(Command[MutationResult]):
    """Change settings."""

    def __init__(self, by: str, keys: tuple[Idempotency, ...], params: SessionUpdateParams) -> None:
        super().__init__(by, keys)
        self.params = params


class ClearQueue(Command[None]):
    """Remove all waiting prompts."""


class Close(Command[MutationResult]):
    """End the current run and let go of the session."""

    def __init__(self, by: str, keys: tuple[Idempotency, ...], *, if_idle: bool) -> None:
        super().__init__(by, keys)
        self.if_idle = if_idle


class Delete(Command[None]):
    """End the current run and say goodbye to subscribers; the registry removes the log."""


class Recover(Command[None]):
    """Close a run that nobody drives any more, with this cause; then let the queue go on."""

    def __init__(self, cause: str) -> None:
        super().__init__("")
        self.cause = cause


class Respond(Command[RequestRespondResult]):
    """Answer a request, for a person; `outcome` is checked against the request."""

    def __init__(self, by: str, keys: tuple[Idempotency, ...], params: RequestRespondParams) -> None:
        super().__init__(by, keys)
        self.params = params


class UpdatePrompt(Command[MutationResult]):
    """Change or move a waiting prompt."""

    def __init__(self, by: str, keys: tuple[Idempotency, ...], params: QueueUpdateParams) -> None:
        super().__init__(by, keys)
        self.params = params


class RemovePrompt(Command[MutationResult]):
    """Remove a waiting prompt, or all."""

    def __init__(self, by: str, keys: tuple[Idempotency, ...], prompt_id: str | None) -> None:
        super().__init__(by, keys)
        self.prompt_id = prompt_id


class OpenRequest(Command[None]):
    """Put a run's question to people."""

    def __init__(self, request: events.RequestOpened) -> None:
        super().__init__("")
        self.request = request


class Withdraw(Command[None]):
    """Take a run's question back."""

    def __init__(self, request_id: str) -> None:
        super().__init__("")
        self.request_id = request_id


class DeliverSteers(Command[None]):
    """Show steering prompts to a run before its next step."""

    def __init__(self, run_id: str, step: int, prompt_ids: frozenset[str]) -> None:
        super().__init__("")
        self.run_id = run_id
        self.step = step
        self.prompt_ids = prompt_ids


class EndPlan(Command[bool]):
    """Carry out the answer to a plan; the result tells whether the run goes on."""

    def __init__(self, run_id: str, step: int, answer: events.RequestResolved) -> None:
        super().__init__("")
        self.run_id = run_id
        self.step = step
        self.plan_answer = answer


class Expire(msgspec.Struct, frozen=True):
    """A request's time is over."""

    request_id: str


class RunEnded(msgspec.Struct, frozen=True):
    """The current run has its terminal event, or its log was halted."""

    run_id: str


FromClient = Prompt | Continue | Update | Respond | UpdatePrompt | RemovePrompt | ClearQueue | Close | Delete

FromRun = OpenRequest | Withdraw | DeliverSteers | EndPlan | RunEnded

FromDaemon = Recover | Expire

Inbound = FromClient | FromRun | FromDaemon


class Inbox:
    """A session's inbox: bounded for clients; the session's own messages always find room."""

    def __init__(self) -> None:
        self._items: deque[Inbound] = deque()
        self._arrived = anyio.Event()
        self._admissions = 0
        self.admitting_now = 0  # The number of the prompt the session's task is carrying out, if it is one.

    def submit(self, command: Command[Any]) -> None:
        """Put a client's command behind the others.

        Raises:
            Overloaded: too many wait.
        """
        if len(self._items) >= INBOX_MAX:
            raise Overloaded("The session has too much to do.", limit="inbox_max", limit_value=INBOX_MAX)
        if isinstance(command, Prompt | Continue):
            self._admissions += 1
            command.number = self._admissions
        self.post(command)  # pyright: ignore[reportArgumentType] - clients submit what is in the union

    def post(self, item: Inbound) -> None:
        """Put a message of the session's own behind the others."""
        if isinstance(item, ClearQueue) and self._items and isinstance(self._items[-1], ClearQueue):
            return  # It comes with cancels, which no limit holds back; nothing came in between.
        self._items.append(item)
        self._arrived.set()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def last_admission(self) -> int:
        """The number of the newest prompt that waits here or is just being admitted; 0 if there is none."""
        waiting = (item.number for item in self._items if isinstance(item, Prompt | Continue))
        return max((*waiting, self.admitting_now))

    async def next(self) -> Inbound:
        """Take the oldest; waits for one."""
        while not self._items:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._items.popleft()

    def drain(self) -> list[Command[Any]]:
        """Take all commands that are left; somebody waits for their answers."""
        commands: list[Command[Any]] = [item for item in self._items if isinstance(item, Command)]
        self._items.clear()
        return commands
