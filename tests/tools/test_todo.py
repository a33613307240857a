"""The `todo` tool: the plan goes with the result."""

from pathlib import Path

import msgspec
import pytest
from tool_calls import Workbench, call

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.executor import Executor, ToolRefusal
from holdfast_daemon.tools.todo import CONTENT_CHARS_MAX, ENTRIES_MAX, TodoInput, TodoTool
from holdfast_protocol.events import PlanEntry


async def test_the_whole_plan_is_handed_over_and_counted(tmp_path: Path) -> None:
    called = await call(
        TodoTool(),
        tmp_path,
        entries=[
            {"content": "look", "status": "completed", "priority": "high"},
            {"content": "think", "status": "in_progress"},
            {"content": "act"},
        ],
    )
    assert called.outcome.plan == (
        PlanEntry(content="look", priority="high", status="completed"),
        PlanEntry(content="think", priority="medium", status="in_progress"),
        PlanEntry(content="act", priority="medium", status="pending"),
    )
    assert called.texts == ["The plan has 3 entries: 1 completed, 1 in progress, 1 pending."]


async def test_an_empty_plan_takes_the_plan_away(tmp_path: Path) -> None:
    called = await call(TodoTool(), tmp_path, entries=[])
    assert called.outcome.plan == ()
    assert called.texts == ["The plan is empty."]


@pytest.mark.parametrize(
    ("entries", "fits"),
    [
        ([{"content": "x"}] * ENTRIES_MAX, True),
        ([{"content": "x"}] * (ENTRIES_MAX + 1), False),
        ([{"content": "x" * CONTENT_CHARS_MAX}], True),
        ([{"content": "x" * (CONTENT_CHARS_MAX + 1)}], False),
        ([{"content": ""}], False),
        ([{"content": "x", "status": "done"}], False),
        ([{"content": "x", "more": 1}], False),
    ],
)
def test_a_plan_is_bounded(entries: list[dict[str, object]], fits: bool) -> None:
    executor = Executor((TodoTool(),), ExecutionLimits())
    prepared = executor.prepare("todo", msgspec.json.encode({"entries": entries}).decode(), "/w")
    assert isinstance(prepared, ToolRefusal) is not fits


async def test_other_tools_leave_the_plan_alone(tmp_path: Path) -> None:
    assert (await Workbench(tmp_path).call("list")).outcome.plan is None


def test_a_call_says_how_far_the_plan_is() -> None:
    asked = msgspec.convert(
        {"entries": [{"content": "x", "status": "completed"}, {"content": "y"}]}, TodoInput
    )
    assert TodoTool().kind == "think"
    assert TodoTool().title(asked) == "plan: 1 of 2 done"
    assert TodoTool().locations(asked, "/w") == ()
