"""The tables say what the log says: an independent fold of each log is compared with the rows SQLite has."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from core_world import Core, core_running
from journal_world import open_sqlite
from scripted import FakeTool, ScriptedModel, Stage, block, call, done, say

from holdfast_daemon.journal import projections
from holdfast_daemon.models.base import BlockDelta, BlockStarted, ModelError
from holdfast_daemon.tools.base import ToolContext, ToolFailure
from holdfast_protocol import events
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Cost, ErrorInfo, RequestOption, Usage

Row = dict[str, Any]


def plain(value: Any) -> Any:
    return json.loads(msgspec.json.encode(value))


class Tables:
    """What the tables must say, folded from a log without looking at how the daemon does it."""

    def __init__(self, log: list[Any]) -> None:
        self.session: Row = {"status": "idle", "run": None, "archived": 0, "title": None}
        self.runs: dict[str, Row] = {}
        self.messages: dict[str, Row] = {}
        self.requests: dict[str, Row] = {}
        for event in log:
            getattr(self, f"_{events.type_of(event)}", lambda _event: None)(event)

    def _session_started(self, event: events.SessionStarted) -> None:
        self.session.update(model=event.model, agent=event.agent, title=event.title)

    def _session_updated(self, event: events.SessionUpdated) -> None:
        for name in ("title", "archived", "agent"):
            value = getattr(event, name)
            if value is not None:
                self.session[name] = int(value) if name == "archived" else value

    def _model_switched(self, event: events.ModelSwitched) -> None:
        self.session["model"] = event.model

    def _prompt_received(self, event: events.PromptReceived) -> None:
        self.messages[event.prompt_id] = self._message("user", event, blocks=plain(event.content))

    def _prompt_removed(self, event: events.PromptRemoved) -> None:
        self.messages[event.prompt_id].update(status="removed", completed_at=event.at)

    def _run_started(self, event: events.RunStarted) -> None:
        assert event.run_id is not None
        self.runs[event.run_id] = {
            "prompt": event.prompt_id,
            "model": event.model,
            "status": "running",
            "user_message": event.prompt_id,
            "assistant_message": None,
            "input_tokens": None,
            "output_tokens": None,
            "cost": None,
            "seq_start": event.seq,
            "seq_end": None,
        }
        self.messages[event.prompt_id]["run"] = event.run_id
        self.session.update(status="running", run=event.run_id)

    def _ended(self, event: Any, status: str) -> None:
        run = self.runs[event.run_id]
        run.update(status=status, seq_end=event.seq)
        if event.usage is not None:
            usage = event.usage
            total = usage.input + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h
            run.update(input_tokens=total, output_tokens=usage.output)
        if event.cost is not None:
            run["cost"] = event.cost.amount
        for message in self.messages.values():
            if message["run"] == event.run_id and message["status"] is None:
                message.update(status=status, interrupted=int(status != "completed"), completed_at=event.at)
        self.session.update(status="idle", run=None)

    def _run_completed(self, event: events.RunCompleted) -> None:
        self._ended(event, "completed")

    def _run_failed(self, event: events.RunFailed) -> None:
        self._ended(event, "failed")

    def _run_cancelled(self, event: events.RunCancelled) -> None:
        self._ended(event, "cancelled")

    def _run_interrupted(self, event: events.RunInterrupted) -> None:
        self._ended(event, "interrupted")

    def _content_block_start(self, event: events.ContentBlockStart) -> None:
        assert event.run_id is not None
        if event.message_id not in self.messages:
            self.messages[event.message_id] = self._message("assistant", event)
        self.messages[event.message_id]["started_at"] = event.at
        self.runs[event.run_id]["assistant_message"] = event.message_id

    def _content_block_end(self, event: events.ContentBlockEnd) -> None:
        shown = {"kind": event.kind, "text": event.text}
        for name in ("tool_call_id", "tool", "partial", "provider", "opaque"):
            if getattr(event, name):
                shown[name] = plain(getattr(event, name))
        self.messages[event.message_id]["blocks"].append(shown)

    def _tool_call_started(self, event: events.ToolCallStarted) -> None:
        message = self._message("tool", event)
        self.messages[event.tool_call_id] = {**message, "tool": event.tool, "tool_call": event.tool_call_id}

    def _tool_call_completed(self, event: events.ToolCallCompleted) -> None:
        self.messages[event.tool_call_id].update(
            blocks=plain(event.result), status="completed", completed_at=event.at
        )

    def _tool_call_failed(self, event: events.ToolCallFailed) -> None:
        if event.tool_call_id not in self.messages:  # It was refused before it started.
            message = self._message("tool", event)
            self.messages[event.tool_call_id] = {
                **message,
                "tool_call": event.tool_call_id,
                "started_at": None,
            }
        self.messages[event.tool_call_id].update(
            error=plain(event.error), status="failed", completed_at=event.at
        )

    @staticmethod
    def _message(role: str, event: Any, blocks: Any = ()) -> Row:
        return {
            "run": event.run_id,
            "role": role,
            "blocks": list(blocks),
            "tool": None,
            "tool_call": None,
            "status": None,
            "interrupted": 0,
            "error": None,
            "started_at": event.at,
            "completed_at": None,
        }


async def select(core: Core, table: str, columns: str, session: int) -> dict[str, Row]:
    names = columns.split(", ")
    store: Any = core.journal.store
    where = "key" if table == "sessions" else "session"
    rows = await core.journal.query(store._select, f"SELECT {columns} FROM {table} WHERE {where} = {session}")
    return {str(row[0]): dict(zip(names[1:], row[1:], strict=True)) for row in rows}


async def check_tables(core: Core, session_id: str = "s") -> list[Any]:
    """Assert that all rows of a session are those of its log; give the log."""
    await core.journal.flushed(core.live(session_id).log)
    log = await core.log(session_id)
    key, expected = core.live(session_id).log.key, Tables(log)
    (session,) = (
        await select(core, "sessions", "key, status, run, archived, title, model, agent", key)
    ).values()
    assert session == expected.session
    columns = "id, prompt, model, status, user_message, assistant_message, input_tokens, output_tokens, cost"
    assert await select(core, "runs", f"{columns}, seq_start, seq_end", key) == expected.runs
    columns = "id, run, role, blocks, tool, tool_call, status, interrupted, error, started_at, completed_at"
    messages = await select(core, "messages", columns, key)
    for row in messages.values():
        row["blocks"] = json.loads(row["blocks"])
        row["error"] = json.loads(row["error"]) if row["error"] else None
    assert messages == expected.messages
    return log


async def work(tool_input: Any, _context: ToolContext) -> str:
    if tool_input.value == "fail":
        raise ToolFailure("could not", "not_found")
    return tool_input.value


TOOL = FakeTool("work", work)


async def test_after_runs_of_every_end_the_tables_say_what_the_log_says(tmp_path: Path) -> None:
    stage = Stage()
    usage = Usage(input=1, cache_read=2, cache_write_5m=3, cache_write_1h=4, output=5)
    priced = msgspec.structs.replace(done(), usage=usage, cost=Cost(amount=0.25))
    tools = [*call("work", {"value": "a"}, 1), *call("work", {"value": "fail"}, 2), *call("absent", None, 3)]
    model = ScriptedModel(
        [*block("thinking", kind="thinking"), *tools, done("tool_use")],
        [*block("done \u00e9"), priced],
        [BlockStarted(index=0, kind="text"), BlockDelta(index=0, text="half"), ModelError(_error())],
        [BlockStarted(index=0, kind="text"), BlockDelta(index=0, text="cut"), stage],
    )
    async with core_running(open_sqlite(tmp_path), catalogue=model.catalogue(), tools=[TOOL]) as core:
        client = core.client()
        await client.create(title="first")
        assert (await client.run("one"))["status"] == "completed"
        await check_tables(core)
        assert (await client.run("two"))["status"] == "failed"
        await check_tables(core)
        await client.prompt("three")
        await stage.reached()
        await client.prompt("waits")
        await check_tables(core)
        await client.call("session/update", sessionId="s", title="second", archived=True)
        await client.call("session/cancel", sessionId="s", clearQueue=True)
        await client.wait("r3")
        log = await check_tables(core)
    kinds = {type(event) for event in log}
    assert {events.RunCompleted, events.RunFailed, events.RunCancelled, events.PromptRemoved} <= kinds


async def test_after_an_interruption_and_a_restart_the_tables_say_what_the_log_says(tmp_path: Path) -> None:
    stage = Stage()
    model = ScriptedModel([*block("stored"), *call("work", {"value": "x"}, 1), stage], say("on"))
    async with core_running(open_sqlite(tmp_path), catalogue=model.catalogue(), tools=[TOOL]) as core:
        client = core.client()
        await client.create()
        await client.prompt("go")
        await stage.reached()
        await core.stop("shutdown")
        await check_tables(core)
    async with core_running(open_sqlite(tmp_path), catalogue=model.catalogue(), tools=[TOOL]) as core:
        client = core.client()
        await client.call("session/continue", sessionId="s")
        await client.wait("r2")
        await check_tables(core)


async def test_a_forks_tables_say_what_its_own_log_says(tmp_path: Path) -> None:
    stage = Stage()
    model = ScriptedModel(
        [*call("work", {"value": "x"}), done("tool_use")], say("one"), [*block("two"), stage]
    )
    async with core_running(open_sqlite(tmp_path), catalogue=model.catalogue(), tools=[TOOL]) as core:
        client = core.client()
        await client.create(title="source")
        await client.run("one")
        await client.prompt("two")
        await stage.reached()
        head = core.live().log.head
        for at in (1, 5, head // 2, head):
            await client.call("session/fork", sessionId="s", newSessionId=f"f{at}", at=at)
            await check_tables(core, f"f{at}")


def _error() -> ErrorInfo:
    return ErrorInfo(kind="overloaded", message="busy")


@pytest.mark.parametrize(
    "event",
    [
        events.TokenDelta(run_id="r1", block_id="b", offset=0, text="t"),
        events.ToolOutput(run_id="r1", tool_call_id="t", offset=0, text="t"),
    ],
)
def test_no_row_is_rewritten_for_a_delta(event: events.Event) -> None:
    assert projections.changes_of(event, 1, 1) == ()


async def test_requests_to_people_are_rows_with_their_answer(tmp_path: Path) -> None:
    opened = events.RequestOpened(
        request_id="q1",
        kind="permission",
        title="Run it?",
        detail={"command": "ls"},
        options=(RequestOption(id="yes", label="Yes", kind="allow_once"),),
    )
    async with core_running(open_sqlite(tmp_path)) as core:
        client = core.client()
        await client.create()
        log = core.live().log
        await core.journal.commit(log, opened)
        columns = "id, kind, outcome, answered_by, body"
        (row,) = (await select(core, "requests", columns, log.key)).values()
        assert (row["kind"], row["outcome"], row["answered_by"]) == ("permission", None, None)
        assert msgspec.json.decode(row["body"], type=events.RequestOpened) == opened
        await core.journal.commit(log, events.RequestResolved(request_id="q1", outcome="yes", by="me"))
        (row,) = (await select(core, "requests", columns, log.key)).values()
        assert (row["outcome"], row["answered_by"]) == ("yes", "me")


async def test_a_prompt_that_changes_while_it_waits_is_shown_as_it_is_now(tmp_path: Path) -> None:
    async with core_running(open_sqlite(tmp_path)) as core:
        client = core.client()
        await client.create()
        log = core.live().log
        await core.journal.commit(
            log,
            events.PromptReceived(
                prompt_id="p", content=(TextBlock(text="old"),), delivery="queue", status="queued", by="c"
            ),
            events.PromptUpdated(prompt_id="p", content=(TextBlock(text="new"),)),
        )
        (row,) = (await select(core, "messages", "id, blocks", log.key)).values()
    assert json.loads(row["blocks"]) == [{"type": "text", "text": "new"}]
