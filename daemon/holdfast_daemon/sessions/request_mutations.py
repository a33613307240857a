"""What a session does about requests to people: open, answer, withdraw, expire.

Carried out by the session's task, so that pausing and resuming follow the requests in one order.
"""

from collections.abc import Callable
from typing import Any, Final

import anyio
import msgspec
from anyio.abc import TaskGroup

from holdfast_daemon.journal.journal import Journal, SessionLog
from holdfast_daemon.journal.pending import Rows
from holdfast_daemon.journal.store import Change, InsertRule, RuleRow
from holdfast_daemon.sessions.commands import EndPlan, Expire, Inbox, OpenRequest, Respond, Withdraw
from holdfast_daemon.sessions.consent import UNATTENDED_FAIL
from holdfast_daemon.sessions.permissions import Permissions
from holdfast_daemon.sessions.plans import plan_answer_events
from holdfast_daemon.sessions.prompts import OWN_PREFIX
from holdfast_daemon.sessions.rules import Rules
from holdfast_protocol import events
from holdfast_protocol.capabilities import RequestKind
from holdfast_protocol.errors import InvalidParams, NotFound, RpcError
from holdfast_protocol.events import Json
from holdfast_protocol.methods.request import RequestRespondParams, RequestRespondResult, Scope
from holdfast_protocol.view import View

VALUES_BYTES_MAX: Final = 64 * 1024
"""What a form may be filled in with, as JSON."""

_OPTION_SCOPES: Final[dict[str, Scope]] = {
    "allow_once": "once",
    "allow_session": "session",
    "allow_always": "always",
}


class RequestMutations:
    """Carries out one session's commands about requests.

    Args:
        view: the session's.
        log: the session's.
        somebody_here: tells whether somebody who may answer listens.
        inbox: the session's; expiries come back through it.
        permissions: the session's.
        journal: the daemon's.
        rules: the daemon's.
        expiry_s: how long a request waits that somebody could answer, where it is not to wait for ever.
    """

    def __init__(
        self,
        view: View,
        log: SessionLog,
        somebody_here: Callable[[RequestKind], bool],
        inbox: Inbox,
        permissions: Permissions,
        journal: Journal,
        rules: Rules,
        expiry_s: float,
    ) -> None:
        self._view = view
        self._log = log
        self._somebody_here = somebody_here
        self._inbox = inbox
        self._permissions = permissions
        self._journal = journal
        self._rules = rules
        self._expiry_s = expiry_s

    # Opening -------------------------------------------------------------------------------------------

    async def open(self, command: OpenRequest, tasks: TaskGroup) -> None:
        """Put a question to people; where nobody is here and that is not to be waited for, answer it."""
        assert self._view.settings is not None
        request, unattended = command.request, self._view.settings.unattended
        answer: str | None = None
        if unattended != "wait":
            if self._somebody_here(request.kind):
                request = msgspec.structs.replace(request, expires_at=self._expires_at())
            else:
                answer = "deny" if unattended == "deny" else UNATTENDED_FAIL
        self._permissions.open(request.request_id, request.run_id)
        try:
            await self._journal.commit(self._log, *self._opening(request, answer))
        except RpcError:
            self._permissions.abandon(request.request_id)
            raise
        if answer is None:
            self.watch(request, tasks)
        command.finish(None)

    def _opening(self, request: events.RequestOpened, answer: str | None) -> list[events.Event]:
        if answer is not None:
            self._permissions.claim(request.request_id)
            return [request, self._resolution(request, answer, "unattended")]
        run = self._view.run
        if run is not None and run.run_id == request.run_id and run.status == "running":
            reason = str(request.detail.get("question", request.kind))
            return [request, events.RunPaused(run_id=request.run_id, reason=reason)]
        return [request]

    def _expires_at(self) -> int:
        return self._journal.now() + int(self._expiry_s * 1000)

    def watch(self, request: events.RequestOpened, tasks: TaskGroup) -> None:
        """Let a request's time run out, if it has one."""
        if request.expires_at is not None:
            tasks.start_soon(self._expire_later, request.request_id, request.expires_at)

    async def _expire_later(self, request_id: str, expires_at: int) -> None:
        await anyio.sleep(max(0, expires_at - self._journal.now()) / 1000)
        self._inbox.post(Expire(request_id))

    # Resolving -----------------------------------------------------------------------------------------

    async def respond(self, command: Respond, remember: Any) -> None:
        """Take an answer; the first valid one counts, the others learn which that was.

        Args:
            command: the answer.
            remember: gives the rows that remember the result under the command's keys.

        Raises:
            NotFound: there is no such request.
            InvalidParams: it is not one of the answers; the request stays open.
        """
        params = command.params
        request = self._view.requests.get(params.request_id)
        if request is None or not self._permissions.claim(params.request_id):
            command.finish(await self._late(params, command.by))
            return
        try:
            outcome, scope = _decode_answer(request, params)
            rule = self._rule(request, outcome, scope, command.by)
            resolution = self._resolution(
                request, outcome, command.by, scope, params.message, _values(request, params)
            )

            def result(seq: int) -> RequestRespondResult:
                return RequestRespondResult(accepted=True, outcome=outcome, by=command.by, seq=seq)

            rows = _with_rule(remember(command, result), rule)
            seq = await self._journal.commit(self._log, resolution, *self._resuming(request), rows=rows)
        except RpcError:
            self._permissions.unclaim(params.request_id)
            raise
        if rule is not None:
            self._rules.add(rule)
        command.finish(result(seq))

    async def withdraw(self, command: Withdraw) -> None:
        """Take a question back."""
        await self._resolve(command.request_id, "cancelled", "daemon")
        command.finish(None)

    async def expire(self, item: Expire) -> None:
        """Answer what nobody answered in time as if nobody had been here."""
        assert self._view.settings is not None
        outcome = UNATTENDED_FAIL if self._view.settings.unattended == "fail" else "deny"
        await self._resolve(item.request_id, outcome, "expired")

    async def end_plan(self, command: EndPlan) -> None:
        """Carry out the answer to a plan; the run is told of it like of a steering prompt."""
        prompt_id = f"{OWN_PREFIX}{self._view.head + 1}"
        run = self._view.run
        told = plan_answer_events(
            command.run_id,
            command.step,
            prompt_id,
            command.plan_answer,
            own_mode=run is not None and run.started.mode is not None,
        )
        if told:
            await self._journal.commit(self._log, *told)
        command.finish(bool(told))

    async def _resolve(self, request_id: str, outcome: str, by: str) -> None:
        request = self._view.requests.get(request_id)
        if request is None or not self._permissions.claim(request_id):
            return
        resolution = self._resolution(request, outcome, by)
        await self._journal.commit(self._log, resolution, *self._resuming(request))

    async def _late(self, params: RequestRespondParams, by: str) -> RequestRespondResult:
        """Tell a late answer which one counts. The winner, asking again, is told that it won."""
        found = await self._outcome_of(params.request_id)
        if found is None:
            raise NotFound("No such request.", resource="request", id=params.request_id)
        outcome, winner = found
        same = winner == by and outcome == _plain_outcome(params.outcome)
        return RequestRespondResult(
            accepted=same, outcome=outcome, by=winner, seq=self._log.head, replayed=same
        )

    async def _outcome_of(self, request_id: str) -> tuple[str, str] | None:
        store = self._journal.store
        if request_id in self._view.requests:  # Claimed: its resolution is being committed.
            await self._journal.flushed(self._log)
        row = await self._journal.query(store.find_request, self._log.key, request_id)
        return (row.outcome, row.by or "") if row is not None and row.outcome is not None else None

    def _resuming(self, request: events.RequestOpened) -> list[events.Event]:
        """Let the run go on if this was the last question it waited for."""
        run = self._view.run
        waits = run is not None and run.run_id == request.run_id and run.status == "paused"
        if not waits or self._permissions.others_open(request.request_id):
            return []
        return [events.RunResumed(run_id=request.run_id)]

    def _resolution(
        self,
        request: events.RequestOpened,
        outcome: str,
        by: str,
        scope: Scope | None = None,
        message: str | None = None,
        values: dict[str, Json] | None = None,
    ) -> events.RequestResolved:
        return events.RequestResolved(
            run_id=request.run_id,
            request_id=request.request_id,
            outcome=outcome,
            by=by,
            scope=scope,
            message=message,
            values=values,
        )

    def _rule(
        self, request: events.RequestOpened, outcome: str, scope: Scope | None, by: str
    ) -> RuleRow | None:
        """Give the rule an answer leaves behind."""
        if request.kind != "permission" or scope in (None, "once") or "tool" not in request.detail:
            return None
        assert self._view.settings is not None
        allow = outcome == "allow"
        match = request.detail.get("match")
        return self._rules.make(
            allow=allow,
            tool=request.detail["tool"],
            hosted=bool(request.detail.get("hosted")),
            match=match if allow else request.detail.get("refusal", match),
            session=self._log.session_id if scope == "session" else None,
            cwd=self._view.settings.cwd,
            by=by,
        )


def _decode_answer(request: events.RequestOpened, params: RequestRespondParams) -> tuple[str, Scope | None]:
    """Give an answer's outcome and scope.

    Raises:
        InvalidParams: it is not one of the request's answers.
    """
    option_ids = {option.id for option in request.options}
    if request.kind != "permission":
        if params.outcome not in option_ids:
            raise InvalidParams(
                f"Not an answer to this request: {params.outcome}.",
                path="$.outcome",
                supported=sorted(option_ids),
            )
        return params.outcome, None
    outcome = _plain_outcome(params.outcome)
    scope = _OPTION_SCOPES.get(params.outcome, params.scope)
    if outcome not in ("allow", "deny") or (outcome != params.outcome and params.outcome not in option_ids):
        raise InvalidParams(
            f"Not an answer to this request: {params.outcome}.",
            path="$.outcome",
            supported=["allow", "deny", *sorted(option_ids - {"deny"})],
        )
    if outcome == "allow" and scope != "always" and "allow_once" not in option_ids:
        raise InvalidParams("This is allowed for good or not at all.", path="$.scope", supported=["always"])
    if outcome == "allow" and scope == "always" and "allow_always" not in option_ids:
        raise InvalidParams(
            "This cannot be allowed for good: no sandbox confines it.",
            path="$.scope",
            supported=["once", "session"],
        )
    return outcome, scope


def _values(request: events.RequestOpened, params: RequestRespondParams) -> dict[str, Json] | None:
    """Give what a form was filled in with.

    Raises:
        InvalidParams: it is no form, or the values are too large.
    """
    if params.values is None:
        return None
    if request.kind != "form":
        raise InvalidParams("Only a form takes values.", path="$.values")
    if len(msgspec.json.encode(params.values)) > VALUES_BYTES_MAX:
        raise InvalidParams(
            f"The values of a form are at most {VALUES_BYTES_MAX} bytes of JSON.",
            path="$.values",
            limit="values_bytes_max",
            limit_value=VALUES_BYTES_MAX,
        )
    return params.values


def _plain_outcome(outcome: str) -> str:
    return "allow" if outcome in _OPTION_SCOPES else outcome


def _with_rule(rows: Rows | None, rule: RuleRow | None) -> Rows | None:
    if rule is None:
        return rows

    def both(seq: int) -> list[Change]:
        return [*(rows(seq) if rows else ()), InsertRule(rule)]

    return both
