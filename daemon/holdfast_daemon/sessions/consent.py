"""A run's way to people: the mode and rules that hold now, questions, answers, steering prompts.

Everything that changes the session goes through its inbox, so that opening, answering and pausing happen in
one order; this module only asks for it and waits.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from holdfast_daemon.execution.gate import StandingRule
from holdfast_daemon.journal.journal import Journal, SessionLog
from holdfast_daemon.sessions.commands import DeliverSteers, EndPlan, Inbox, OpenRequest, Withdraw
from holdfast_daemon.sessions.permissions import Permissions
from holdfast_daemon.sessions.rules import Rules
from holdfast_protocol import events
from holdfast_protocol.events import Mode
from holdfast_protocol.snapshot import QueuedPrompt
from holdfast_protocol.view import View

_WIDTH: Final[tuple[Mode, ...]] = ("plan", "ask", "accept_edits", "auto")
"""The modes, the narrowest first."""


def narrowest(mode: Mode, *others: Mode | None) -> Mode:
    """Give the narrowest of some modes; None narrows nothing."""
    for other in others:
        if other is not None and _WIDTH.index(other) < _WIDTH.index(mode):
            mode = other
    return mode


class Unattended(Exception):
    """Nobody is here to answer, and the session is to fail then."""


UNATTENDED_FAIL = "fail"
"""The outcome of a request that ends its run because nobody is here."""


class Consent:
    """What one session's runs may ask of it.

    Args:
        log: the session's.
        journal: the daemon's.
        view: the session's.
        inbox: the session's.
        permissions: its open requests.
        rules: the daemon's.
        bound: of a session that works for another one, the mode that one has now, None if it is not loaded.

    Attributes:
        agent_mode: of the agent that drives the run, where it has one; also no wider than this.
    """

    def __init__(
        self,
        log: SessionLog,
        journal: Journal,
        view: View,
        inbox: Inbox,
        permissions: Permissions,
        rules: Rules,
        bound: Callable[[], Mode | None] | None = None,
    ) -> None:
        self._log = log
        self._journal = journal
        self._view = view
        self._inbox = inbox
        self._permissions = permissions
        self._rules = rules
        self._bound = bound
        self.agent_mode: Mode | None = None
        self._asked: dict[str, events.RequestOpened] = {}
        self._waiting = 0
        self._waiting_since = 0.0
        self._waited_s = 0.0
        self._answered: dict[str, tuple[events.RequestOpened, events.RequestResolved]] = {}

    @property
    def mode(self) -> Mode:
        """The mode that holds now: the run's own, else the session's; never wider than that of its parent."""
        run, settings = self._view.run, self._view.settings
        own: Mode = settings.mode if settings is not None else "ask"
        if run is not None and run.started.mode is not None:
            own = run.started.mode
        bound = self._bound() if self._bound is not None else None
        return narrowest(own, bound, self.agent_mode)

    @property
    def delegated(self) -> bool:
        """Whether the session works for another one."""
        return self._bound is not None

    def standing_rules(self) -> list[StandingRule]:
        """Give the rules that hold now."""
        assert self._view.settings is not None
        return self._rules.standing(self._log.session_id, self._view.settings.cwd)

    async def asked_before(self, request_id: str) -> bool:
        """Tell whether people were asked before a restart; an answer nobody acted on still counts."""
        request = self._view.requests.get(request_id)
        if request is not None:
            self._asked[request_id] = request  # It may be answered before the call waits for that.
            return True
        store = self._journal.store
        row = await self._journal.query(store.find_request, self._log.key, request_id)
        if row is None or row.outcome is None:
            return False
        request = msgspec.json.decode(row.body, type=events.RequestOpened)
        resolved = self._permissions.take(request_id)
        if resolved is None:  # It came before the restart; a row has not all of it.
            resolved = events.RequestResolved(request_id=request_id, outcome=row.outcome, by=row.by or "")
        self._answered[request_id] = (request, resolved)
        return True

    async def open(self, request: events.RequestOpened) -> None:
        """Put a question to people; durable when this returns."""
        self._asked[request.request_id] = request
        command = OpenRequest(request)
        self._inbox.post(command)
        await command.answer()

    async def answer(self, request_id: str) -> tuple[events.RequestOpened, events.RequestResolved]:
        """Wait for the answer to a request that was opened, or asked before, once.

        Raises:
            Unattended: nobody is here, and the session is to fail then.
        """
        answered = self._answered.pop(request_id, None)
        if answered is not None:
            return answered
        request = self._asked.pop(request_id)
        resolved = await self._wait(request_id)
        if resolved.outcome == UNATTENDED_FAIL:
            raise Unattended
        return request, resolved

    @property
    def waited_s(self) -> float:
        """How long calls and runs have waited for people, together ones counted once."""
        waiting_s = time.monotonic() - self._waiting_since if self._waiting else 0.0
        return self._waited_s + waiting_s

    async def _wait(self, request_id: str) -> events.RequestResolved:
        if not self._waiting:
            self._waiting_since = time.monotonic()
        self._waiting += 1
        try:
            return await self._permissions.wait(request_id)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._waited_s += time.monotonic() - self._waiting_since

    async def withdraw(self, request_id: str) -> None:
        """Take a question back: the call it is about was cancelled."""
        command = Withdraw(request_id)
        self._inbox.post(command)
        await command.answer()

    def steers(self) -> tuple[QueuedPrompt, ...]:
        """Give the steering prompts that wait."""
        return tuple(prompt for prompt in self._view.queue.values() if prompt.delivery == "steer")

    async def deliver_steers(self, run_id: str, step: int, prompt_ids: frozenset[str]) -> None:
        """Have steering prompts enter the conversation before the run's next step."""
        command = DeliverSteers(run_id, step, prompt_ids)
        self._inbox.post(command)
        await command.answer()

    async def end_plan(self, run_id: str, step: int, answer: events.RequestResolved) -> bool:
        """Carry out what people said to a plan; tell whether the run goes on."""
        command = EndPlan(run_id, step, answer)
        self._inbox.post(command)
        return await command.answer()

    def closing_events(self, run_id: str, by: str) -> tuple[events.Event, ...]:
        """Give the resolutions of the questions a run leaves open at its end."""
        return tuple(
            events.RequestResolved(run_id=run_id, request_id=name, outcome="cancelled", by=by)
            for name in self._permissions.claim_all(run_id)
        )
