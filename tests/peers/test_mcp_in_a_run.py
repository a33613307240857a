"""A real MCP server, as published on npm, in runs of the daemon: used, killed in mid-call, used again."""

import os
import signal
from pathlib import Path
from typing import Any

from daemon_process import Owner

SERVER = Path(__file__).parent / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"

LOOKS_MAX = 600
"""How often a running run is looked at before a test gives up; each look waits for 50 ms of the run."""


def script(tool: str, **given: Any) -> str:
    fields = ", ".join(f"{name}: {value}" for name, value in given.items())
    return f"script:\n  - call: {{tool: mcp__every__{tool}, input: {{{fields}}}}}\n  - text: Done.\n"


def prompt(owner: Owner, text: str) -> str:
    content = [{"type": "text", "text": text}]
    return owner.call("session/prompt", sessionId="s", content=content)["runId"]


def events_until(owner: Owner, run_id: str, wanted: set[str]) -> list[dict[str, Any]]:
    """Give the run's events once one of a wanted type is there."""
    for _ in range(LOOKS_MAX):
        owner.call("session/wait", sessionId="s", runId=run_id, timeoutMs=50)
        found = [event for event in owner.log("s") if event.get("runId") == run_id]
        if wanted & {event["type"] for event in found}:
            return found
    raise AssertionError(f"none of {wanted} came")


def servers() -> list[int]:
    """Give the processes that run the server's script, whoever confines them."""
    found: list[int] = []
    for place in Path("/proc").iterdir():
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if place.name.isdigit() and len(words) > 1 and words[1] == os.fsencode(SERVER):
            found.append(int(place.name))
    return found


def outcome(events: list[dict[str, Any]]) -> dict[str, Any]:
    [one] = [event for event in events if event["type"] in ("tool_call_completed", "tool_call_failed")]
    return one


def test_server_everything_serves_runs_also_after_it_was_killed_in_mid_call(daemon, node, tmp_path):
    assert SERVER.exists(), "npm ci --prefix tests/peers"
    server = {"type": "stdio", "name": "every", "command": node, "args": [str(SERVER), "stdio"]}
    with Owner(daemon._asdict()) as owner:
        owner.call("session/create", sessionId="s", cwd=str(tmp_path), mode="auto", mcpServers=[server])

        first = events_until(owner, prompt(owner, script("echo", message="hello")), {"run_completed"})
        assert outcome(first)["result"][0]["text"] == "Echo: hello"

        long = prompt(owner, script("trigger-long-running-operation", duration=1000, steps=1000))
        events_until(owner, long, {"tool_call_started"})
        for pid in servers():
            os.kill(pid, signal.SIGKILL)
        lost = events_until(owner, long, {"run_completed", "run_failed"})
        assert outcome(lost)["error"]["kind"] == "mcp_lost"
        assert lost[-1]["type"] == "run_completed"  # The model was told, and went on.

        restarted = owner.call("mcp/restart", sessionId="s", server="every")["server"]
        assert restarted["name"] == "every"
        again = events_until(owner, prompt(owner, script("echo", message="again")), {"run_completed"})
        assert outcome(again)["result"][0]["text"] == "Echo: again"
        [listed] = owner.call("mcp/list", sessionId="s")["servers"]
        assert (listed["status"], listed["origin"]) == ("running", "client")
        assert listed["starts"] >= 2
        owner.call("session/delete", sessionId="s")
    for _ in range(LOOKS_MAX):
        if not servers():
            break
        with Owner(daemon._asdict()) as owner:
            owner.call("ping")
    assert servers() == []
