"""What stands between a model's call and its start.

    schema check → pre-hooks → gate → (ask) → a second look

An answer covers the input that was asked about and nothing else, and opens no mode that refuses.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from holdfast_daemon.execution.executor import PreparedCall, ToolRefusal
from holdfast_daemon.execution.gate import Decision, GateCall, Verdict, decide, takes_always
from holdfast_daemon.sessions.consent import Consent
from holdfast_daemon.sessions.model_output import Call
from holdfast_daemon.sessions.permissions import binding_of, permission_options
from holdfast_daemon.sessions.session_tools import SessionTools
from holdfast_daemon.sessions.tool_hooks import ToolHooks
from holdfast_daemon.sessions.workspace import Workspace
from holdfast_protocol import events
from holdfast_protocol.events import ErrorInfo, Json


class Asked(NamedTuple):
    """The call waits for people."""

    request_id: str


class ToolAdmission:
    """Admits the calls of one run.

    Args:
        run_id: the run's.
        tools: the session's.
        hooks: the run's.
        consent: the session's modes, rules and people.
        workspace: the session's.
    """

    def __init__(
        self, run_id: str, tools: SessionTools, hooks: ToolHooks, consent: Consent, workspace: Workspace
    ) -> None:
        self._run_id = run_id
        self._tools = tools
        self._may_use: Callable[[str], bool] = lambda _tool: True
        self._hooks = hooks
        self._consent = consent
        self._workspace = workspace

    def limit_to(self, may_use: Callable[[str], bool]) -> None:
        """Say which tools the run's agent may use; what is not offered may be called by name all the same."""
        self._may_use = may_use

    async def check(self, call: Call) -> PreparedCall | Asked | ToolRefusal:
        """Say what becomes of a call: it may start, people are asked, or it is refused."""
        prepared = self._prepare(call, call.input_json)
        if isinstance(prepared, PreparedCall) and not self._may_use(call.tool):
            error = ErrorInfo(kind="denied", message=f"The agent may not use {call.tool}.")
            return ToolRefusal(tool=call.tool, raw_input=prepared.raw_input, error=error)
        if isinstance(prepared, PreparedCall):
            prepared = await self._pass_hooks(call, prepared)
        if isinstance(prepared, ToolRefusal):
            return prepared
        return await self._pass_gate(call, prepared)

    async def asked_before(self, call: Call) -> Asked | None:
        """Give the question a call waits on since before a restart, if it does."""
        request_id = _request_id(call)
        return Asked(request_id) if await self._consent.asked_before(request_id) else None

    async def answered(self, call: Call, asked: Asked) -> PreparedCall | ErrorInfo:
        """Wait for the answer; give what may start now, or why nothing may.

        Raises:
            Unattended: nobody is here, and the session is to fail then.
        """
        request, answer = await self._consent.answer(asked.request_id)
        if answer.outcome == "allow":
            return self._look_again(call, request)
        reason = f" {answer.by} says: {answer.message}" if answer.message else ""
        return ErrorInfo(kind="denied", message=f"The call was not allowed.{reason}")

    async def withdraw(self, asked: Asked) -> None:
        """Take the question back: its call was cancelled."""
        await self._consent.withdraw(asked.request_id)

    def _prepare(self, call: Call, input_json: str) -> PreparedCall | ToolRefusal:
        return self._tools.prepare(call.tool, input_json, self._workspace.cwd)

    async def _pass_hooks(self, call: Call, prepared: PreparedCall) -> PreparedCall | ToolRefusal:
        """Let the pre-hooks see the call; what they make of its input is checked again."""
        changed = await self._hooks.before(call, prepared)
        if isinstance(changed, ErrorInfo):
            return ToolRefusal(tool=call.tool, raw_input=prepared.raw_input, error=changed)
        return prepared if changed is None else self._prepare(call, changed)

    async def _pass_gate(self, call: Call, prepared: PreparedCall) -> PreparedCall | Asked | ToolRefusal:
        seen = self._seen(call, prepared)
        verdict = self._verdict(seen)
        if verdict.decision is Decision.DENY:
            error = ErrorInfo(kind="denied", message=verdict.reason)
            return ToolRefusal(tool=call.tool, raw_input=prepared.raw_input, error=error)
        if verdict.decision is Decision.ASK:
            return await self._ask(call, prepared, seen)
        return prepared

    def _seen(self, call: Call, prepared: PreparedCall) -> GateCall:
        hosted = self._is_hosted(call)
        match = _match(prepared, whole=hosted or self._tools.digest(call.tool) is not None)
        pinned = self._pinned(call, match)
        return GateCall(call.tool, prepared.kind, pinned, hosted=hosted, plain=match)

    def _pinned(self, call: Call, match: str | None) -> str | None:
        """Bind what a rule names to what people were told of an extension's tool: it may change its mind."""
        digest = self._tools.digest(call.tool)
        return match if digest is None else f"{digest} {match or ''}".rstrip()

    def _is_hosted(self, call: Call) -> bool:
        return self._tools.is_hosted(call.tool)

    def _verdict(self, seen: GateCall) -> Verdict:
        rules = self._consent.standing_rules()
        return decide(seen, self._consent.mode, rules, sandboxed=self._workspace.sandboxed)

    async def _ask(self, call: Call, prepared: PreparedCall, seen: GateCall) -> Asked:
        workspace = self._workspace
        request = events.RequestOpened(
            run_id=self._run_id,
            request_id=_request_id(call),
            kind="permission",
            title=prepared.title,
            detail={
                "tool": call.tool,
                "kind": prepared.kind,
                "hosted": seen.hosted,
                "input": prepared.raw_input,
                "locations": prepared.locations,
                "match": seen.match,
                **self._tools.told_of(call.tool, seen.plain),
                "binding": self._binding(call, prepared.raw_input),
                "roots": workspace.roots,
            },
            options=permission_options(always=takes_always(seen, sandboxed=workspace.sandboxed)),
            tool_call_id=call.tool_call_id,
        )
        await self._consent.open(request)
        return Asked(request.request_id)

    def _binding(self, call: Call, tool_input: Json) -> str:
        session_id, hosted = self._workspace.session_id, self._is_hosted(call)
        return binding_of(session_id, self._run_id, call.tool, tool_input, hosted=hosted)

    def _look_again(self, call: Call, request: events.RequestOpened) -> PreparedCall | ErrorInfo:
        """Give what was asked about as it can run now: its tool may be gone, a new mode may refuse it."""
        prepared = self._prepare(call, msgspec.json.encode(request.detail["input"]).decode())
        if isinstance(prepared, ToolRefusal):
            return prepared.error
        if request.detail["binding"] != self._binding(call, prepared.raw_input):
            return ErrorInfo(kind="denied", message="The answer was about another input.")
        verdict = self._verdict(self._seen(call, prepared))
        if verdict.decision is Decision.DENY:
            return ErrorInfo(kind="denied", message=verdict.reason)
        return prepared


def _request_id(call: Call) -> str:
    return f"{call.tool_call_id}-q"


def _match(prepared: PreparedCall, *, whole: bool) -> str | None:
    """Give what a rule about this call names: the exact command, or `whole` input of a tool that executes.

    A tool that does not execute is covered whole.
    """
    if prepared.kind != "execute":
        return None
    raw = prepared.raw_input
    if whole:
        return msgspec.json.encode(raw, order="deterministic").decode()
    command = raw.get("command") if isinstance(raw, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return command if isinstance(command, str) else msgspec.json.encode(raw).decode()
