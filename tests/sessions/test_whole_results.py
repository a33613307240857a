"""A tool result that is cut says where all of it is, and `read` gives it; it goes with its session."""

from pathlib import Path

from core_world import core_running
from scripted import FakeTool

from holdfast_protocol import events
from holdfast_protocol.content import plain_text


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def test_the_rest_of_a_cut_result_is_read_by_lines_and_goes_with_the_session(tmp_path: Path) -> None:
    lines = [f"line {number} {'x' * 50}" for number in range(3000)]

    async def work(_given: object, _context: object) -> str:
        return "\n".join(lines)

    script = (
        "script:\n  - call: {tool: long, input: {}}\n"
        "  - call: {tool: read, input: {path: 'result:r1-m1-t1', offset: 1500, limit: 2}}\n  - text: done\n"
    )
    async with core_running(tools=[FakeTool("long", work)], results=tmp_path) as core:
        client = core.client()
        await client.create(mode="auto")
        await client.run(script)
        cut, rest = [event for event in await core.log() if isinstance(event, events.ToolCallCompleted)]
        assert cut.truncated
        assert "read `result:r1-m1-t1`" in plain_text(cut.result)
        assert "line 1499 " not in plain_text(cut.result)
        assert plain_text(rest.result[:1]) == f"{lines[1499]}\n{lines[1500]}\n"
        assert len(names(tmp_path)) == 1
        await client.call("session/delete", sessionId="s")
        assert names(tmp_path) == set()
