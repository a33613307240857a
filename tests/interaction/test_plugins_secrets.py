"""Keys and other secrets reach those they were meant for and nobody else (security.md P8).

Planted: in the daemon's environment and configuration, in plugins, in what a client gives for its servers.
Looked for: in everything clients are sent, in the daemon's log, in what each program sees.
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager

import pytest
from extension_world import DONE, SERVER, delegate, make_plugin, mcp_server, tool
from interaction_world import Killable, within
from person import calling, script, shell

from fakes.raw_client import Refused

CANARIES = {
    name: f"canary-of-{name}-{number}"
    for number, name in enumerate(
        (
            *("anthropic", "openai", "bare", "plugin_key", "config_env", "config_header", "base_url"),
            *("plugin_env", "plugin_header", "misplaced", "client_env", "client_header", "client_tools"),
        ),
        start=4711,
    )
}

ENV = {
    "ANTHROPIC_API_KEY": CANARIES["anthropic"],
    "OPENAI_API_KEY": CANARIES["openai"],
    "SECRET": CANARIES["bare"],
    "NOTES_KEY": CANARIES["plugin_key"],
}

PLUGIN = f"""
models:
  - {{provider: openai_compat, name: noted, base_url: 'http://127.0.0.1:9', api_key_env: NOTES_KEY}}
skills:
  - module: seeing:see
commands:
  - {{name: look, command: ./see.py, allowed_args: []}}
mcp_servers:
  - name: ofplugin
    type: stdio
    command: {sys.executable}
    args: [-S, {SERVER}]
    env: {{TOKEN: {CANARIES["plugin_env"]}}}
  - {{name: web, type: http, url: 'http://127.0.0.1:9/mcp', headers: {{X-Key: {CANARIES["plugin_header"]}}}}}
agents:
  - {{name: seer, class: 'seeing_agent:Seer'}}
hooks:
  - {{event: pre_tool_use, module: 'seeing:hook', tools: list}}
  - {{event: pre_tool_use, command: [./see.py], tools: list}}
"""

SEEING = """
import json, os
from pathlib import Path


def see() -> str:
    \"\"\"Keep what is seen.\"\"\"
    keep("skill")
    return "seen"


def hook(call):
    keep("hook")


def keep(name):
    Path("seen-" + name).write_text(json.dumps(dict(os.environ)))
"""

AGENT = """
import json, os

import msgspec

from holdfast_daemon.agents.base import Agent, RunContext
from holdfast_daemon.agents.chat import ChatAgent, ChatContext


class Nothing(msgspec.Struct):
    pass


class Seer(Agent[Nothing]):
    \"\"\"Says what it sees.\"\"\"

    async def run(self, session: RunContext, /):
        seen = f"I see {json.dumps(dict(os.environ))}"
        async for event in ChatAgent(ChatContext(system_prompt=seen)).run(session):
            yield event
"""

PROGRAM = f"""#!{sys.executable} -S
import json, os, sys
name = "program" if not sys.stdin.isatty() and sys.stdin.read(1) else "command"
open("seen-" + name, "w").write(json.dumps(dict(os.environ)))
print(json.dumps({{"decision": "allow"}}))
"""

CONFIG = """
[[mcp_servers]]
name = "ofconfig"
command = "{python}"
args = ["-S", "{server}"]
env = ["TOKEN={config_env}"]

[[mcp_servers]]
name = "webofconfig"
url = "http://127.0.0.1:9/mcp"
headers = ["X-Key: {config_header}"]

[base_urls]
anthropic = "http://127.0.0.1:{port}/{base_url}"
"""


@asynccontextmanager
async def echoing_provider(heard):
    """A gateway that refuses, and repeats the key it was sent; gives its port."""

    async def refuse(reader, writer):
        headers = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        told = " ".join(h for h in headers if h.lower().startswith(("x-api-key", "authorization")))
        heard.append(told)
        error = {"type": "authentication_error", "message": told}
        told = json.dumps({"type": "error", "error": error})
        writer.write(
            f"HTTP/1.1 401 No\r\nContent-Type: application/json\r\nContent-Length: {len(told)}\r\n"
            f"Connection: close\r\n\r\n{told}".encode()
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def planted(home):
    """Plant what is no environment; gives what is to be run once the gateway's port is known."""
    folder = home.path / ".config" / "holdfast"
    plugin = make_plugin(folder / "plugins", PLUGIN, seeing=SEEING, seeing_agent=AGENT)
    (plugin / "see.py").write_text(PROGRAM, encoding="utf-8")
    (plugin / "see.py").chmod(0o755)
    for number, entry in enumerate(MISPLACED):
        make_plugin(folder / "plugins", entry.format(secret=CANARIES["misplaced"]), f"wrong-{number}")

    def configure(port):
        text = CONFIG.format(python=sys.executable, server=SERVER, port=port, **CANARIES)
        config = folder / "config.toml"
        config.write_text(text, encoding="utf-8")
        config.chmod(0o600)

    return configure


_HTTP = "mcp_servers:\n  - {{name: a, type: http, "
MISPLACED = (
    "models:\n  - {{provider: openai, name: m, api_key_env: '{secret}'}}\n",
    "models:\n  - {{provider: openai, name: m, api_key: '{secret}'}}\n",
    "mcp_servers:\n  - {{name: a, type: stdio, command: x, env: {{TOKEN: ['{secret}']}}}}\n",
    _HTTP + "url: 'http://x:{secret}@y/', headers: {{'a b': '{secret}'}}}}\n",
    _HTTP + "url: 'http://x', headers: {{A: \"{secret}\\nx\"}}}}\n",
)

LISTS = (
    *("daemon/status", "model/list", "tool/list", "agent/list", "plugin/list", "rule/list", "request/list"),
    *("token/list", "trust/list", "session/list", "usage/get", "rpc.discover"),
)
LISTS_OF_A_SESSION = (
    *("tool/list", "agent/list", "plugin/list", "mcp/list", "command/list", "rule/list", "request/list"),
    *("session/get", "session/export", "session/read", "queue/list", "usage/get"),
)


def keeping(name, server):
    return tool("environment", {"path": f"seen-{name}"}, server=server)


async def run_everything(ann, session):
    """Have every kind of program run, in a run and in one of a sub-agent; give the sub-agent's session."""
    calls = (
        shell(f"{sys.executable} -S -c 'import json, os; print(json.dumps(dict(os.environ)))' > seen-shell"),
        ("see", {}),
        ("look", {}),
        ("list", {}),
        *(keeping(name, name) for name in ("told", "ofconfig", "ofplugin")),
        delegate(calling(keeping("below", "told")), DONE),
        delegate(DONE, agent="sample:seer"),
    )
    ran = (await ann.prompt(session, script(*(calling(call) for call in calls), DONE)))["runId"]
    while True:
        event = await ann.event("request_opened", "run_completed", "run_failed", session=session)
        if event["type"] != "request_opened":
            break
        await ann.answer_request(event, "allow")
    assert (event["type"], event["runId"]) == ("run_completed", ran)
    assert ann.heard("tool_call_failed") == []
    return [started["sessionId"] for started in ann.heard("agent_started")]


async def look_everywhere(ann, session, children):
    for method in LISTS:
        await ann.call(method)
    for place in (session, *children):
        for method in LISTS_OF_A_SESSION:
            await ann.call(method, sessionId=place)


def received(person):
    return json.dumps([entry.message for entry in person.transcript if entry.direction == "received"])


def found(text):
    return [name for name, canary in CANARIES.items() if canary in text]


async def test_each_reaches_whom_it_was_meant_for_and_is_shown_nowhere(home, planted):
    heard = []
    async with echoing_provider(heard) as port:
        planted(port)
        with Killable(home, env=ENV) as daemon, within(60):
            await daemon.start()
            ann = await daemon.person("ann")
            web = {"type": "http", "name": "web2", "url": "http://127.0.0.1:9/mcp"}
            servers = [
                mcp_server(TOKEN=CANARIES["client_env"]),
                web | {"headers": {"X-Key": CANARIES["client_header"]}},
            ]
            session = await ann.begin(
                home.work,
                mode="auto",
                model="offline/rehearsal",
                mcpServers=servers,
                env={"SECRET": CANARIES["client_tools"], "LANG": "C.UTF-8"},
            )
            children = await run_everything(ann, session)
            assert len(children) == 2

            models = [model["name"] for model in (await ann.call("model/list"))["models"]]
            model = next(name for name in models if name.startswith("anthropic/"))
            await ann.prompt(session, "hello", model=model)
            failed = await ann.event("run_failed")
            assert failed["error"]["kind"] == "auth"
            assert [found(told) for told in heard] == [["anthropic"]]
            await look_everywhere(ann, session, children)
            plugins = (await ann.call("plugin/list"))["plugins"]
            wrong = [plugin["status"] for plugin in plugins if plugin["name"] != "sample"]
            assert wrong == ["failed"] * len(MISPLACED)

            assert found(received(ann)) == []
            for log in (home.state / "daemon.log", home.path / "stderr"):
                assert found(log.read_text(encoding="utf-8")) == []
    meant = {"told": ["client_env"], "below": ["client_env"], "ofconfig": ["config_env"]}
    meant["ofplugin"] = ["plugin_env"]
    seen = {path.name.removeprefix("seen-"): path for path in home.work.glob("seen-*")}
    assert set(seen) == {"shell", "skill", "command", "hook", "program", *meant}
    for name, path in seen.items():
        text = path.read_text(encoding="utf-8")
        assert "PATH" in json.loads(text)
        assert found(text) == meant.get(name, []), name


@pytest.mark.parametrize(
    "wrong",
    [
        {"env": {"TOKEN": [CANARIES["client_env"]]}},
        {"env": {"TOKEN": CANARIES["client_env"] * 1000}},
        {"env": {"": CANARIES["client_env"]}},
        {"args": CANARIES["client_env"]},
        {"name": CANARIES["client_env"] * 2},
    ],
)
async def test_what_is_refused_is_not_repeated(home, wrong):
    with Killable(home, env=ENV) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        with pytest.raises(Refused) as refused:
            await ann.create(home.work, mcpServers=[mcp_server() | wrong])
        assert refused.value.error["data"]["kind"] == "invalid_params"
        assert refused.value.error["data"]["path"].startswith("$.mcpServers[0]")
        assert found(received(ann)) == []
        log = home.state / "daemon.log"
        assert not log.exists() or found(log.read_text(encoding="utf-8")) == []
