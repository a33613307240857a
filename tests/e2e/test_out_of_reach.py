"""A command in a session of a real daemon: what it reaches of that daemon, and what a kill leaves of it."""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from daemon_process import WAIT_S, Daemon, running, temporary_home
from wire_client import Client

from fakes.sandboxes import need_sandbox


async def _said(client: Client, daemon: Daemon, command: str) -> list[dict[str, Any]]:
    """Run a command, allowed by a person; give the session's events."""
    log = await client.subscribe(await client.create_session(daemon.work))
    call = {"tool": "shell", "input": {"command": command}}
    started = await client.prompt(log.session_id, f"script:\n  - call: {json.dumps(call)}\n")
    await client.read_to_event(log, started["runId"], {"request_opened", "tool_call_started"})
    opened = [event for event in log.events() if event["type"] == "request_opened"]
    if opened:
        request = opened[0]["requestId"]
        await client.call("request/respond", sessionId=log.session_id, requestId=request, outcome="allow")
    await client.read_to_end(log, started["runId"])
    return log.events()


ESCAPES = r"""
import glob, os, socket, sys
state, run, pid, port = sys.argv[1:]
reached = []
def attempt(name, action):
    try:
        if action():
            reached.append(name)
    except OSError:
        pass
def connects(family, address):
    with socket.socket(family) as connection:
        connection.settimeout(2)
        connection.connect(address)
    return True
attempt("token", lambda: open(state + "/token").read())
attempt("log", lambda: glob.glob(state + "/*"))
attempt("state listed", lambda: os.listdir(state))
attempt("record", lambda: os.listdir(run))
for name in ("daemon-v1.sock", "holdfast-v1.sock"):
    attempt("socket", lambda: connects(socket.AF_UNIX, run + "/" + name))
attempt("tcp", lambda: connects(socket.AF_INET, ("127.0.0.1", int(port))))
attempt("environ", lambda: open(f"/proc/{pid}/environ").read() or True)
attempt("memory", lambda: open(f"/proc/{pid}/mem", "rb"))
attempt("canary", lambda: any("CANARY" in open(path).read() for path in glob.glob("/proc/[0-9]*/environ")))
attempt("signal", lambda: os.kill(int(pid), 0) is None)
attempt("magic link", lambda: os.listdir(f"/proc/{pid}/root"))
attempt("write to state", lambda: open(state + "/made", "w"))
print("reached", reached)
"""


async def test_a_command_reaches_nothing_of_its_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """security.md T8, and P8 for procfs."""
    need_sandbox()
    monkeypatch.setenv("HOLDFAST_TEST_CANARY", "CANARY")
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        async with running(home, "--tcp") as daemon, await daemon.connect() as client:
            (home / "work" / "escape.py").write_text(ESCAPES)
            python = Path(sys.base_prefix, "bin", "python3")  # The checkout may lie in a covered place.
            port = daemon.record["tcp"][1]
            words = f"{python} escape.py {home}/state {home}/run {daemon.pid} {port}"
            events = await _said(client, daemon, words)
            token = (home / "state" / "token").read_text().strip()
        [done] = [event for event in events if event["type"] == "tool_call_completed"]
        assert "reached []" in json.dumps(done["result"])
        assert token not in json.dumps(events)
