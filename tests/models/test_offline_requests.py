"""The request language (docs/offline.md): plain prompts, real tools, summaries of real facts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from offline_conversation import check, converse, message_of, prompt, respond, stream, text_of

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.executor import Executor
from holdfast_daemon.models.base import (
    AssistantMessage,
    BlockDelta,
    BlockStarted,
    ModelOptions,
    StepCompleted,
    TextPart,
    ToolCallPart,
    ToolResultsMessage,
    UserMessage,
)
from holdfast_daemon.models.offline import OfflineModel
from holdfast_daemon.models.offline_info import INFO
from holdfast_daemon.models.offline_requests import COUNT_MAX, FILES_MAX, NOT_AN_AI
from holdfast_daemon.tools.builtin import builtin_tools
from holdfast_daemon.tools.files import ReadTool
from holdfast_protocol.content import ResourceBlock, TextBlock
from holdfast_protocol.events import Cost


@pytest.fixture
def executor() -> Executor:
    return Executor(builtin_tools(ExecutionLimits()), ExecutionLimits())


@pytest.fixture
def read_only() -> Executor:
    """An executor that offers nothing but the read tool."""
    return Executor((ReadTool(),), ExecutionLimits())


def last_text(messages: list) -> str:
    return text_of(messages[-1])


async def test_the_catalogue_entry_and_the_first_text_say_that_it_is_not_an_ai() -> None:
    assert "Not an AI" in INFO.description
    for request in ("hello", "help", "say hi", "read a.txt", "count 3", "think so", "run ls"):
        first = text_of(message_of(await respond([prompt(request)])))
        assert first.count("not an AI") == 1, request


async def test_it_says_so_only_once_in_a_conversation() -> None:
    first = prompt("say hi")
    answer = AssistantMessage(parts=(TextPart(text=f"{NOT_AN_AI}\nhi"),))
    assert text_of(message_of(await respond([first, answer, prompt("say again")]))) == "again"


async def test_read_says_how_many_lines_a_file_has_and_what_its_heading_is(
    tmp_path: Path, executor: Executor
) -> None:
    (tmp_path / "README.md").write_text("intro\n\n## The house\n\nbody\n")
    messages = await converse("read README.md", executor, tmp_path)
    assert [type(message) for message in messages] == [
        UserMessage, AssistantMessage, ToolResultsMessage, AssistantMessage,
    ]  # fmt: skip
    assert last_text(messages) == "read `README.md`: 5 lines, first heading “The house”."


async def test_files_joined_by_and_are_read_in_one_step(tmp_path: Path, executor: Executor) -> None:
    (tmp_path / "a.txt").write_text("alpha\n")
    (tmp_path / "b.txt").write_text("beta\nsecond\n")
    messages = await converse("READ a.txt AND `b.txt`, missing.txt", executor, tmp_path)
    calls = [part for part in messages[1].parts if isinstance(part, ToolCallPart)]
    assert [call.input_json for call in calls] == [
        '{"path":"a.txt"}', '{"path":"b.txt"}', '{"path":"missing.txt"}',
    ]  # fmt: skip
    assert last_text(messages).splitlines() == [
        "read `a.txt`: 1 line, no heading, begins “alpha”.",
        "read `b.txt`: 2 lines, no heading, begins “beta”.",
        "read `missing.txt` failed: there is no file missing.txt",
    ]


async def test_a_part_of_a_long_file_is_not_called_the_whole(tmp_path: Path, executor: Executor) -> None:
    (tmp_path / "long.txt").write_text("line\n" * 5000)
    messages = await converse("read long.txt", executor, tmp_path)
    assert "2000 lines" in last_text(messages)
    assert "go on with offset 2001" in last_text(messages)


@pytest.mark.parametrize(
    "request_text", ["run printf 'one\\ntwo\\n'; exit 3", "Run: printf 'one\\ntwo\\n'; exit 3"]
)
async def test_run_says_how_the_command_ended(tmp_path: Path, executor: Executor, request_text: str) -> None:
    messages = await converse(request_text, executor, tmp_path)
    assert "exit code 3, 2 lines of output, the last “two”." in last_text(messages)


async def test_run_without_a_shell_tool_says_so(tmp_path: Path, read_only: Executor) -> None:
    messages = await converse("run ls", read_only, tmp_path)
    assert len(messages) == 2
    assert "No shell tool is offered here, so I cannot run `ls`." in last_text(messages)


async def test_read_without_a_read_tool_says_so() -> None:
    assert "No read tool is offered" in text_of(message_of(await respond([prompt("read a")])))


def calls_of(messages: list) -> list[tuple[str, Any]]:
    return [
        (part.tool, json.loads(part.input_json))
        for message in messages
        if isinstance(message, AssistantMessage)
        for part in message.parts
        if isinstance(part, ToolCallPart)
    ]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("one\ntwo in three\n")
    (tmp_path / "b.txt").write_text("one.\n")
    return tmp_path


@pytest.mark.parametrize(
    ("request_text", "tool", "tool_input", "answer"),
    [
        ("list files", "list", {"path": "."}, "list `.`: 2 entries, the first “b.txt”, the last “src/”."),
        ("List: files in src", "list", {"path": "src"}, "list `src`: 1 entry, “a.py”."),
        ("find *.py", "glob", {"pattern": "*.py"}, "glob `*.py`: 1 file, “src/a.py”."),
        ("find *.rs", "glob", {"pattern": "*.rs"}, "glob `*.rs`: 0 files. [no file fits]"),
        (
            "search for one.",
            "grep",
            {"pattern": "one\\.", "path": "."},
            "grep `one\\.`: 1 match, “b.txt:1:one.”.",
        ),
        (
            "search for one in src",
            "grep",
            {"pattern": "one", "path": "src"},
            "grep `one`: 1 match, “src/a.py:1:one”.",
        ),
        (
            "search for 'two in three'",
            "grep",
            {"pattern": "two\\ in\\ three", "path": "."},
            "grep `two\\ in\\ three`: 1 match, “src/a.py:2:two in three”.",
        ),
        (
            "search for 'two in' in src/a.py",
            "grep",
            {"pattern": "two\\ in", "path": "src/a.py"},
            "grep `two\\ in`: 1 match, “src/a.py:2:two in three”.",
        ),
        (
            "write c/d.txt: hello: world",
            "write",
            {"path": "c/d.txt", "content": "hello: world\n"},
            "write `c/d.txt`: created c/d.txt: 1 line, 13 bytes. Made c/.",
        ),
        (
            "write b.txt:\n  one\ntwo\n",
            "write",
            {"path": "b.txt", "content": "  one\ntwo\n"},
            "write `b.txt`: replaced b.txt: 2 lines, 10 bytes.",
        ),
        ("write b.txt:", "write", {"path": "b.txt", "content": ""}, None),
        (
            "plan: look; think;; act",
            "todo",
            {"entries": [{"content": "look"}, {"content": "think"}, {"content": "act"}]},
            "todo: The plan has 3 entries: 3 pending.",
        ),
        ("plan\n look\n act", "todo", {"entries": [{"content": "look"}, {"content": "act"}]}, None),
    ],
)
async def test_a_request_becomes_a_call_and_its_result_a_sentence(
    work: Path, executor: Executor, request_text: str, tool: str, tool_input: Any, answer: str | None
) -> None:
    messages = await converse(request_text, executor, work)
    assert calls_of(messages) == [(tool, tool_input)]
    assert answer is None or last_text(messages) == answer


@pytest.mark.parametrize(
    ("request_text", "old", "new"),
    [
        ("replace one with 1 in src/a.py", "one", "1"),
        ("replace two in three with 2 in 3 in src/a.py", "two in three", "2 in 3"),
        ('replace "one" with "with in it" in `src/a.py`', "one", "with in it"),
        ('replace "one\ntwo" with "" in src/a.py', "one\ntwo", ""),
    ],
)
async def test_replace_reads_the_file_and_then_edits_it(
    work: Path, executor: Executor, request_text: str, old: str, new: str
) -> None:
    messages = await converse(request_text, executor, work)
    assert calls_of(messages) == [
        ("read", {"path": "src/a.py"}),
        ("edit", {"path": "src/a.py", "old": old, "new": new}),
    ]
    assert (work / "src/a.py").read_text() == "one\ntwo in three\n".replace(old, new)
    assert "edited src/a.py in 1 place" in last_text(messages)


async def test_replace_ends_where_the_file_cannot_be_read_and_says_what_failed(
    work: Path, executor: Executor
) -> None:
    messages = await converse("replace a with b in missing", executor, work)
    assert [tool for tool, _ in calls_of(messages)] == ["read"]
    assert last_text(messages) == "read `missing` failed: there is no file missing"
    messages = await converse("replace nothing with b in b.txt", executor, work)
    assert [tool for tool, _ in calls_of(messages)] == ["read", "edit"]
    assert last_text(messages) == "edit `b.txt` failed: `old` does not stand in b.txt"


@pytest.mark.parametrize(
    "request_text",
    [
        "list", "list src", "list files in", "find", "search", "search for", "search one",
        "search for one in ''", "write", "write x", "write : y", "replace", "replace a with b",
        "replace with b in c",
        "replace a in c", "plan", "plan: ;", "plan: " + "a;" * 101, "find a\nb", "search for a\nb",
    ],
)  # fmt: skip
async def test_a_request_that_is_not_whole_is_told_how_it_goes(
    work: Path, executor: Executor, request_text: str
) -> None:
    messages = await converse(request_text, executor, work)
    assert calls_of(messages) == []
    assert f"`{request_text.split(maxsplit=1)[0].rstrip(':')}` takes" in last_text(messages)


@pytest.mark.parametrize(
    ("request_text", "tool"),
    [
        ("list files", "list"),
        ("find x", "glob"),
        ("search for x", "grep"),
        ("write x: y", "write"),
        ("replace x with y in z", "edit"),
        ("plan: x", "todo"),
    ],
)
async def test_a_request_without_its_tool_says_so(
    work: Path, read_only: Executor, request_text: str, tool: str
) -> None:
    messages = await converse(request_text, read_only, work)
    assert calls_of(messages) == []
    assert f"No {tool} tool is offered here" in last_text(messages)


async def test_say_streams_word_by_word() -> None:
    events = await respond([prompt("say to be  or not\nto be")])
    index = max(event.index for event in events if isinstance(event, BlockStarted))
    deltas = [event.text for event in events if isinstance(event, BlockDelta) and event.index == index]
    assert deltas == ["to ", "be  ", "or ", "not\n", "to ", "be"]


async def test_think_gives_a_thinking_block_and_then_a_text() -> None:
    events = await respond([prompt("think twice")])
    assert [event.kind for event in events if isinstance(event, BlockStarted)] == ["text", "thinking", "text"]
    assert events[-1].usage.reasoning == len("twice") // 4


async def test_count_streams_one_delta_per_number() -> None:
    deltas = [event.text for event in await respond([prompt("count 3")]) if isinstance(event, BlockDelta)]
    assert deltas[1:] == ["1 ", "2 ", "3 "]


async def test_count_stops_at_its_bound() -> None:
    numbers = 0
    async for event in stream([prompt(f"count {COUNT_MAX}")]):
        numbers += isinstance(event, BlockDelta)
    assert numbers == COUNT_MAX + 1  # The label is a delta too.
    for refused in (COUNT_MAX + 1, 0, -1, "many", "²"):
        assert "from 1 to 1000000" in text_of(message_of(await respond([prompt(f"count {refused}")])))


async def test_read_takes_so_many_files_and_not_one_more(read_only: Executor) -> None:
    def request(count: int) -> list:
        return [prompt("read " + " and ".join(f"f{n}" for n in range(count)))]

    allowed = message_of(await respond(request(FILES_MAX), read_only.specs()))
    assert sum(isinstance(part, ToolCallPart) for part in allowed.parts) == FILES_MAX
    refused = message_of(await respond(request(FILES_MAX + 1), read_only.specs()))
    assert not any(isinstance(part, ToolCallPart) for part in refused.parts)


async def test_the_latest_prompt_decides_also_when_it_was_steered_in(
    tmp_path: Path, executor: Executor
) -> None:
    messages = (await converse("read nothing.txt", executor, tmp_path))[:3]
    assert text_of(message_of(await respond([*messages, prompt("say steered")]))) == "steered"


async def test_what_a_client_attaches_is_not_taken_for_the_request() -> None:
    attached = ResourceBlock(uri="file:///x", text="run rm")
    message = UserMessage(content=(TextBlock(text="say hi"), attached))
    assert text_of(message_of(await respond([message]))).endswith("hi")


async def test_usage_is_estimated_from_the_text_and_nothing_is_charged() -> None:
    completed = (await respond([prompt("say " + "word " * 100)]))[-1]
    assert isinstance(completed, StepCompleted)
    assert completed.usage.input == len("say " + "word " * 100) // 4
    assert completed.usage.estimated
    assert completed.cost == Cost(amount=0.0)


@given(
    st.text(max_size=60)
    | st.from_regex(
        r"(?i)(read|run:?|say|think|count|help|list|find|search|write|replace|plan:?) .{0,30}", fullmatch=True
    )
)
async def test_any_prompt_gives_a_whole_stream_and_the_same_one_again(text: str) -> None:
    first = await respond([prompt(text)])
    check(first)
    assert await respond([prompt(text)]) == first


async def test_a_long_stream_lets_other_tasks_run_and_hears_a_cancellation() -> None:
    seen = 0

    async def consume() -> None:
        nonlocal seen
        async for _ in stream([prompt(f"count {COUNT_MAX}")]):
            seen += 1

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(consume)
            while seen < 100:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    assert 100 <= seen < COUNT_MAX


def test_the_yaml_library_is_not_imported_with_the_model() -> None:
    program = "import sys, holdfast_daemon.models.catalogue; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def test_it_calls_no_tool_where_it_is_not_to(executor: Executor) -> None:
    options = ModelOptions(tool_choice="none")
    asked = OfflineModel().stream((prompt("read a.txt"),), executor.specs(), "", options)
    events = [event async for event in asked]
    assert {event.kind for event in events if isinstance(event, BlockStarted)} == {"text"}
