"""Hooks: Python functions that see each tool call before and after it runs, and may refuse or change it.

A hook is given a plain dict and gives None (go on) or a dict with a `decision`:

    pre_tool_use   {event, sessionId, runId, toolCallId, tool, input, cwd, mode}
                   → {"decision": "allow"} | {"decision": "deny", "reason"} | {"decision": "modify", "input"}
    post_tool_use  the same and {result}
                   → {"decision": "allow"} | {"decision": "deny", "reason"} | {"decision": "modify", "result"}

They fail closed: a hook that raises, hangs or answers nonsense refuses. An async function runs on the loop;
any other runs in a worker process that a time-out can kill. Hooks come from whoever starts the daemon.
"""

import importlib
import inspect
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import anyio
import msgspec

from holdfast_daemon.config import HookEvent, HookSpec
from holdfast_daemon.execution.foreign_code import is_cancelled

VALUE_BYTES_MAX: Final = 512 * 1024
"""What a hook may make of an input or a result: as much as a model may write, and an event can hold."""

_REASON_CHARACTERS_MAX: Final = 1024


class HookReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one hook did.

    Attributes:
        event: a `HookEvent`, or what extensions know beside them.
        value: the changed input or result, if `decision` is `modify`.
    """

    hook: str
    event: str
    decision: Literal["allow", "deny", "modify"]
    duration_ms: int
    reason: str | None = None
    value: Any = None


class Hooks:
    """The daemon's hooks, in the order they were given.

    Args:
        specs: each is imported here.
        calls_max: how many are called at once; waiting for a turn is not a hook's time.

    Raises:
        ValueError: a target cannot be imported or is no function.
    """

    def __init__(self, specs: Sequence[HookSpec] = (), calls_max: int = 16) -> None:
        self._hooks = [(spec, _import(spec.target)) for spec in specs]
        self._turns = anyio.CapacityLimiter(calls_max)
        self._processes = anyio.CapacityLimiter(calls_max)  # anyio's own would be as many as there are CPUs.

    def wanted(self, event: HookEvent, tool: str) -> bool:
        """Tell whether any hook wants to see this."""
        return any(spec.event == event and fnmatchcase(tool, spec.tools) for spec, _ in self._hooks)

    async def run(self, event: HookEvent, call: dict[str, Any]) -> list[HookReport]:
        """Run the hooks for one call, one after the other; each sees what the one before made of it.

        Stops at the first that refuses.

        Args:
            event: before or after.
            call: as above; `tool` names the tool, `input` or `result` is what a hook may change.
        """
        reports: list[HookReport] = []
        changing = "input" if event == "pre_tool_use" else "result"
        for spec, function in self._hooks:
            if spec.event != event or not fnmatchcase(call["tool"], spec.tools):
                continue
            async with self._turns:
                seen = {**call, "event": event}
                report = await _run_one(spec, function, seen, changing, self._processes)
            reports.append(report)
            if report.decision == "deny":
                break
            if report.decision == "modify":
                call = {**call, changing: report.value}
        return reports


async def _run_one(
    spec: HookSpec,
    function: Callable[[dict[str, Any]], Any],
    call: dict[str, Any],
    changing: str,
    processes: anyio.CapacityLimiter,
) -> HookReport:
    started = time.monotonic()

    def report(
        decision: Literal["allow", "deny", "modify"], reason: str | None = None, value: Any = None
    ) -> HookReport:
        return HookReport(
            hook=spec.target,
            event=spec.event,
            decision=decision,
            duration_ms=int((time.monotonic() - started) * 1000),
            reason=reason[:_REASON_CHARACTERS_MAX] if reason else None,
            value=value,
        )

    answer: Any = "none"  # Makes no sense, and so would refuse.
    try:
        with anyio.move_on_after(spec.timeout_s) as scope:
            answer = await _call(function, call, processes)
        if scope.cancel_called:  # Whatever it made of the cancellation, its time was over.
            return report("deny", f"The hook took longer than {spec.timeout_s:g} s.")
        match answer:
            case None | {"decision": "allow"}:
                return report("allow")
            case {"decision": "deny"}:
                return report("deny", str(answer.get("reason") or "The hook refused."))
            case {"decision": "modify"} if changing in answer:
                return report("modify", str(answer.get("reason") or ""), _json(answer[changing]))
            case _:
                return report("deny", "The hook's answer makes no sense.")
    except BaseException as error:
        if is_cancelled(error):
            raise
        return report("deny", f"The hook failed: {type(error).__name__}: {error}")


def _json(value: Any) -> Any:
    """Give what a hook made of an input or a result as plain JSON.

    Raises:
        TypeError: it is none.
        ValueError: it is too large.
    """
    encoded = msgspec.json.encode(value)
    if len(encoded) > VALUE_BYTES_MAX:
        raise ValueError(f"its answer is over {VALUE_BYTES_MAX} bytes of JSON")
    return msgspec.json.decode(encoded)


async def _call(
    function: Callable[[dict[str, Any]], Any], call: dict[str, Any], processes: anyio.CapacityLimiter
) -> Any:
    """Call a hook with a call of its own: what it does to that changes nothing here."""
    call = deepcopy(call)
    if inspect.iscoroutinefunction(function):
        return await function(call)
    import anyio.to_process  # noqa: PLC0415 - with the first such hook

    return await anyio.to_process.run_sync(function, call, cancellable=True, limiter=processes)


def _import(target: str) -> Callable[[dict[str, Any]], Any]:
    module_name, _, name = target.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"no hook {target}: {error}") from error
    if not callable(function):
        raise ValueError(f"no hook {target}: it is no function")  # noqa: TRY004 - a wrong setting
    return function
