"""Turns the events of a session into steps of the story, one line each. Does nothing else with them."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from holdfast_client.core.tail import AnyEvent
from holdfast_client.demo.report import Report
from holdfast_protocol import events
from holdfast_protocol.content import plain_text


class Narrator:
    """Tells one session.

    Args:
        subject: its name in the story.
        report: who is told.
        names: what people and clients are called, by the ids they have in the log.
    """

    def __init__(self, subject: str, report: Report, names: Mapping[str, str]) -> None:
        self._subject = subject
        self._report = report
        self._names = names
        self._titles: dict[str, str] = {}  # Of requests and tool calls, as people know them.

    def tell(self, event: AnyEvent) -> None:
        """Tell an event, if it is one that the story is about."""
        match event:
            case events.PlanGenerated():
                self._step("plan", _on_one_line(event.plan))
            case events.RequestOpened(detail={"tool": str(), "input": tool_input}):
                self._ask(event, tool_input)
            case events.RequestResolved():
                self._answer(event)
            case events.ToolCallStarted(tool="shell" | "edit"):
                self._titles[event.tool_call_id] = _title(event.input)
            case events.ToolCallCompleted():
                self._tool(event)
            case events.RunCompleted():
                self._done(event)
            case _:
                pass

    def _step(self, what: str, text: str, note: str = "") -> None:
        self._report.step(self._subject, what, text, note)

    def _ask(self, request: events.RequestOpened, tool_input: Any) -> None:
        self._titles[request.request_id] = _title(tool_input)
        self._step("ask", _title(tool_input), "waits for an answer")

    def _answer(self, answer: events.RequestResolved) -> None:
        who = self._names.get(answer.by, answer.by)
        title = self._titles.get(answer.request_id)
        if title is None:
            self._report.step(who, "answered", f"approved the plan: {answer.outcome} before each change")
        else:
            self._report.step(who, "answered", title, f"{answer.outcome} {answer.scope or ''}")

    def _tool(self, result: events.ToolCallCompleted) -> None:
        title = self._titles.get(result.tool_call_id)
        if title is None:
            return
        if result.diff:
            self._step("edit", title.removeprefix("edit "), "done")
        else:
            ending = plain_text(result.result).partition("\n")[0]
            self._step("tool", title, f"{ending}, {result.duration_ms / 1000:.1f} s")

    def _done(self, end: events.RunCompleted) -> None:
        tokens = end.usage.input + end.usage.output
        cost = "" if end.cost is None else f", ${end.cost.amount:.4f}"
        self._step("done", f"{tokens} tokens{cost}", f"{end.steps} steps, {end.duration_ms / 1000:.1f} s")


def _on_one_line(plan: str) -> str:
    """Give the entries of a plan, which is a numbered list, on one line."""
    return " · ".join(line.replace(". ", " ", 1) for line in plan.strip().splitlines())


def _title(tool_input: Any) -> str:
    """Say what a call is about, as short as a person would."""
    match tool_input:
        case {"command": str(command)}:
            return command
        case {"path": str(path), "old": str(old), "new": str(new)}:
            return f"edit {PurePath(path).name} -{len(old.splitlines())} +{len(new.splitlines())}"
        case _:
            return ""
