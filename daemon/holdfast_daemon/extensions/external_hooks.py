"""Hooks of plugins: functions in worker processes, and programs that read JSON and write JSON.

They are told what `execution.hooks` tells its own, answer in the same words, and are reported alike.
Beside calls of tools they see

    prompt_received   {event, sessionId, runId, prompt}             may deny, or modify `prompt`
    run_completed     {event, sessionId, runId, stopReason, …}      is told; a refusal is only reported

A program gets the call as one line on stdin and writes one JSON value; it must exit with 0. All fail closed:
a crash, a time-out, too much or no JSON refuses. What a program writes to stderr is part of the reason.
"""

import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, Protocol

import anyio
import msgspec

from holdfast_daemon.execution.hooks import VALUE_BYTES_MAX, HookReport
from holdfast_daemon.extensions.child import Child, ChildPlace
from holdfast_daemon.extensions.manifest import Event, HookEntry
from holdfast_daemon.extensions.program import program_path
from holdfast_daemon.extensions.worker_pool import WorkerFailure, WorkerPool

ANSWER_BYTES_MAX: Final = 2 * VALUE_BYTES_MAX
"""What a program may write: a value of `VALUE_BYTES_MAX` however it is indented, within reason."""

_REASON_CHARACTERS_MAX: Final = 1024
_STDERR_KEPT: Final = 512
_CHANGING: Final[dict[str, str]] = {
    "pre_tool_use": "input",
    "post_tool_use": "result",
    "prompt_received": "prompt",
}

Decision = Literal["allow", "deny", "modify"]


class PluginHook(msgspec.Struct, frozen=True, kw_only=True):
    """A hook of a plugin.

    Attributes:
        folder: the plugin's, absolute.
    """

    plugin: str
    folder: str
    entry: HookEntry

    @property
    def name(self) -> str:
        """What reports call it."""
        target = self.entry.module or (self.entry.command or ("",))[0]
        return f"{self.plugin}/{target}"

    def wants(self, event: str, tool: str | None) -> bool:
        """Tell whether it is to see this; `tool` is None where no tool is concerned."""
        return self.entry.event == event and (tool is None or fnmatchcase(tool, self.entry.tools))


class AnyHooks(Protocol):
    """What `execution.hooks.Hooks` and `ExternalHooks` both are."""

    def wanted(self, event: Any, tool: str) -> bool:
        """Tell whether any hook wants to see this."""
        ...

    async def run(self, event: Any, call: dict[str, Any]) -> list[HookReport]:
        """Run the hooks one after the other; each sees what the one before made of it."""
        ...


class HookFailure(Exception):
    """A hook gave no answer; the message says why."""


class ExternalHooks:
    """A session's hooks from plugins, in the order of the plugins.

    Args:
        hooks: which.
        place: where programs run.
        pool: the session's workers.
        calls_max: how many run at once; waiting for a turn is not a hook's time.
    """

    def __init__(
        self, hooks: Sequence[PluginHook], place: ChildPlace, pool: WorkerPool, calls_max: int = 4
    ) -> None:
        self._hooks = tuple(hooks)
        self._place = place
        self._pool = pool
        self._turns = anyio.CapacityLimiter(calls_max)

    def wanted(self, event: Event, tool: str | None = None) -> bool:
        """Tell whether any hook wants to see this."""
        return any(hook.wants(event, tool) for hook in self._hooks)

    async def run(self, event: Event, call: dict[str, Any]) -> list[HookReport]:
        """Run the hooks for one call, one after the other; each sees what the one before made of it.

        Stops at the first that refuses.

        Args:
            event: which.
            call: what they are told; `tool` names the tool, if one is concerned.
        """
        reports: list[HookReport] = []
        for hook in self._hooks:
            if not hook.wants(event, call.get("tool")):
                continue
            async with self._turns:
                report = await self._report(hook, {**call, "event": event})
            reports.append(report)
            if report.decision == "deny":
                break
            if report.decision == "modify":
                call = {**call, _CHANGING[event]: report.value}
        return reports

    async def _report(self, hook: PluginHook, call: dict[str, Any]) -> HookReport:
        started = time.monotonic()
        decision, reason, value = await self._decision(hook, call)
        return HookReport(
            hook=hook.name,
            event=hook.entry.event,
            decision=decision,
            duration_ms=int((time.monotonic() - started) * 1000),
            reason=reason[:_REASON_CHARACTERS_MAX] or None,
            value=value,
        )

    async def _decision(self, hook: PluginHook, call: dict[str, Any]) -> tuple[Decision, str, Any]:
        try:
            with anyio.fail_after(hook.entry.timeout):
                answer = await self._answer(hook, call)
            return judged(answer, _CHANGING.get(hook.entry.event))
        except TimeoutError:
            return "deny", f"The hook took longer than {hook.entry.timeout:g} s.", None
        except (HookFailure, WorkerFailure) as error:
            return "deny", f"The hook failed: {error}", None

    async def _answer(self, hook: PluginHook, call: dict[str, Any]) -> Any:
        if hook.entry.command is not None:
            return await _program_answer(hook, hook.entry.command, call, self._place)
        request = {"do": "hook", "target": hook.entry.module, "call": call}
        answer = await self._pool.ask(hook.folder, request, _ignore)
        if "answer" not in answer:
            raise HookFailure(str(answer.get("error", "no answer")))
        return answer["answer"]


class HookChain:
    """Several sets of hooks as one: the daemon's, then those of plugins.

    Args:
        sets: in order.
    """

    def __init__(self, *sets: AnyHooks) -> None:
        self._sets = sets

    def wanted(self, event: Any, tool: str) -> bool:
        """Tell whether any hook wants to see this."""
        return any(hooks.wanted(event, tool) for hooks in self._sets)

    async def run(self, event: Any, call: dict[str, Any]) -> list[HookReport]:
        """Run them all; stops at the first that refuses."""
        reports: list[HookReport] = []
        for hooks in self._sets:
            found = await hooks.run(event, call)
            reports += found
            if found and found[-1].decision == "deny":
                break
            changed = [report.value for report in found if report.decision == "modify"]
            if changed:
                call = {**call, _CHANGING[event]: changed[-1]}
        return reports


def judged(answer: Any, changing: str | None) -> tuple[Decision, str, Any]:
    """Give what an answer means: decision, reason, changed value.

    Args:
        answer: what the hook gave.
        changing: the key it may change; None: none.
    """
    match answer:
        case None | {"decision": "allow"}:
            return "allow", "", None
        case {"decision": "deny"}:
            return "deny", str(answer.get("reason") or "The hook refused."), None
        case {"decision": "modify"} if changing is not None and changing in answer:
            if len(msgspec.json.encode(answer[changing])) > VALUE_BYTES_MAX:
                return "deny", f"The hook failed: its answer is over {VALUE_BYTES_MAX} bytes of JSON", None
            return "modify", str(answer.get("reason") or ""), answer[changing]
        case _:
            return "deny", "The hook's answer makes no sense.", None


async def _ignore(text: str) -> None:
    del text


async def _program_answer(
    hook: PluginHook, command: tuple[str, ...], call: dict[str, Any], place: ChildPlace
) -> Any:
    try:
        argv = (program_path(command[0], place.env, hook.folder), *command[1:])
        child = await Child.start(argv, place.showing(hook.folder))
    except OSError as error:
        raise HookFailure(error.strerror or str(error)) from error
    try:
        written, said = await _conversation(child, msgspec.json.encode(call) + b"\n")
    finally:
        await child.end()
    if child.exit_code != 0:
        raise HookFailure(f"it ended with {child.exit_code}{_said(said)}")
    try:
        return msgspec.json.decode(written)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise HookFailure(f"it wrote no JSON{_said(said)}") from error


async def _conversation(child: Child, told: bytes) -> tuple[bytes, bytes]:
    """Tell a program; give what it wrote to stdout, and the end of what it wrote to stderr."""
    written = bytearray()
    said = bytearray()

    async def tell() -> None:
        try:
            await child.send(told)
        except BrokenPipeError:
            return  # It need not read; its answer counts.
        await child.close_input()

    async def listen() -> None:
        while data := await child.receive_error():
            said.extend(data)
            del said[:-_STDERR_KEPT]

    async with anyio.create_task_group() as group:
        group.start_soon(tell)
        group.start_soon(listen)
        while data := await child.receive():
            written += data
            if len(written) > ANSWER_BYTES_MAX:
                break
        if len(written) <= ANSWER_BYTES_MAX:
            await child.exited()
        group.cancel_scope.cancel()
    if len(written) > ANSWER_BYTES_MAX:
        raise HookFailure(f"it wrote more than {ANSWER_BYTES_MAX} bytes")
    return bytes(written), bytes(said)


def _said(said: bytes) -> str:
    text = " ".join(said.decode("utf-8", "replace").split())
    return f": {text}" if text else ""
