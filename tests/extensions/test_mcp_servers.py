"""MCP servers of a session, over stdio and streamable HTTP: used, lost, restarted, ended without orphans."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from holdfast_daemon.extensions.child import ChildPlace
from holdfast_daemon.extensions.manifest import HttpServer, StdioServer
from holdfast_daemon.extensions.mcp_server import McpDeclaration, McpLimits
from holdfast_daemon.extensions.mcp_servers import McpServers
from holdfast_daemon.extensions.mcp_tools import tool_name
from holdfast_daemon.extensions.mcp_values import ElicitationAnswer, McpFailure, secrets_of
from holdfast_daemon.extensions.plain_schema import BadSchema, plain_schema
from holdfast_daemon.tools.base import ToolContext, ToolFailure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in procfs")

SERVER = str(Path(__file__).with_name("mcp_sample_server.py"))
QUICK = McpLimits(backoff_s=0.01, backoff_max_s=0.05)
ENV = {"PATH": os.environ["PATH"], "SEEN": "yes"}


async def nothing(text):
    del text


CONTEXT = ToolContext(tool_call_id="c", cwd="/", roots=("/",), env=ENV, output=nothing)


def stdio(name="sample", command=sys.executable, args=(SERVER, "stdio"), **options):
    return StdioServer(name=name, command=command, args=args, **options)


class World:
    """Servers, and a way to wait for what they tell."""

    def __init__(self):
        self._told = anyio.Event()
        self.servers = None

    def changed(self):
        self._told.set()

    async def until(self, holds):
        with anyio.fail_after(20):
            while not holds():
                self._told = anyio.Event()
                await self._told.wait()

    async def until_status(self, status, name="sample"):
        await self.until(lambda: self.servers.get(name).info().status == status)

    def tool(self, name):
        return next(tool for tool in self.servers.tools() if tool.name == name)

    async def call(self, tool, tool_input=None, server="sample"):
        with anyio.fail_after(30):
            result = await self.tool(f"mcp__{server}__{tool}").run(tool_input or {}, CONTEXT)
        return result.content[0].text

    def info(self, name="sample"):
        return self.servers.get(name).info()


@contextlib.asynccontextmanager
async def world(*entries, limits=QUICK, elicit=None, env=ENV, folder=None):
    made = World()
    declarations = [
        McpDeclaration(entry=entry, origin="test", folder=folder) for entry in entries or (stdio(),)
    ]
    place = ChildPlace(cwd="/", env=env)
    async with McpServers(
        declarations, place, ("/srv/x",), limits=limits, elicit=elicit, changed=made.changed
    ) as servers:
        made.servers = servers
        assert await servers.settled(30)
        yield made


def living(pids):
    def alive(pid):
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
        return False

    return [pid for pid in pids if alive(pid)]


async def pids_of_family(made):
    """Have the server start processes; give its pid and theirs."""
    result = await made.tool("mcp__sample__family").run({}, CONTEXT)
    return [int(block.text) for block in result.content]


async def test_tools_resources_and_prompts_are_offered_under_prefixed_names():
    async with world() as made:
        info = made.info()
        assert (info.status, info.type, info.starts, info.error) == ("running", "stdio", 1, None)
        assert (info.resources, info.prompts) == (1, 1)
        tool = made.tool("mcp__sample__echo")
        assert (tool.description, tool.kind, tool.origin) == ("Say it again.", "other", "MCP server sample")
        assert tool.input_schema["properties"]["text"]["type"] == "string"
        assert await made.call("echo", {"text": "hello"}) == "hello"
        prompt = await made.servers.get("sample").prompt("greet", {"name": "Ada"})
        assert prompt[0].text == "Say hello to Ada"
        (command,) = made.servers.commands()
        assert (command.name, command.hint, command.description) == ("sample:greet", "name", "Greet.")
        assert [block.text for block in await command.content("Ada Lovelace")] == [
            "Say hello to Ada Lovelace"
        ]


async def test_resources_are_listed_and_read_by_tools():
    async with world() as made:
        listed = await made.tool("mcp__list_resources").run({}, CONTEXT)
        assert '"uri":"sample://text"' in listed.content[0].text
        reading = made.tool("mcp__read_resource")
        read = await reading.run({"server": "sample", "uri": "sample://text"}, CONTEXT)
        assert read.content[0].text == "text of the resource"
        for bad, kind in (
            ({"server": "x", "uri": "y"}, "not_found"),
            ({"server": "sample"}, "invalid_input"),
        ):
            with pytest.raises(ToolFailure) as caught:
                await reading.run(bad, CONTEXT)
            assert caught.value.kind == kind


async def test_a_tools_error_is_a_failure_in_its_own_words():
    async with world() as made:
        with pytest.raises(ToolFailure, match="as asked") as caught:
            await made.call("fail")
        assert caught.value.kind == "mcp_tool_error"
        assert made.info().status == "running"


async def test_a_server_sees_the_sessions_environment_and_its_own_alone():
    async with world(stdio(env={"MINE": "1"})) as made:
        seen = await made.call("environment")
    assert '"SEEN"' in seen
    assert '"MINE"' in seen
    assert "PYTEST" not in seen
    assert "HOME" not in seen


async def test_what_is_no_message_is_skipped():
    async with world() as made:
        assert await made.call("garbage") == "done"
        assert await made.call("echo", {"text": "still"}) == "still"
        assert made.info().starts == 1


async def test_a_message_that_is_too_long_ends_the_connection_and_the_server_comes_back():
    async with world() as made:
        with pytest.raises(ToolFailure) as caught:
            await made.call("huge", {"characters": 5_000_000})
        assert caught.value.kind == "mcp_lost"
        assert await made.call("echo", {"text": "again"}) == "again"


async def test_a_server_killed_in_mid_call_fails_that_call_and_is_used_again(tmp_path):
    here = tmp_path / "here"
    os.mkfifo(here)
    async with world() as made, anyio.create_task_group() as group:
        server = made.servers.get("sample")
        (pid, *_) = [int(word) for word in (await made.call("family")).strip("[]").replace(",", " ").split()][
            :1
        ]
        failures = []

        async def call():
            try:
                await made.call("hang", {"mark": str(here)})
            except ToolFailure as failure:
                failures.append(failure)

        group.start_soon(call)
        assert await anyio.to_thread.run_sync(here.read_text) == "here"
        os.kill(pid, 9)
        await made.until(lambda: made.info().starts == 2 and made.info().status == "running")
        assert [failure.kind for failure in failures] == ["mcp_lost"]
        assert made.servers.get("sample") is server
        assert await made.call("echo", {"text": "again"}) == "again"


async def test_a_call_waits_for_a_server_that_is_being_restarted():
    async with world() as made:
        echo = made.tool("mcp__sample__echo")
        with pytest.raises(ToolFailure):
            await made.call("die")
        with anyio.fail_after(20):
            result = await echo.run({"text": "waited"}, CONTEXT)
        assert result.content[0].text == "waited"


async def test_a_server_is_restarted_when_a_person_wants_it():
    async with world() as made:
        assert made.servers.restart("sample")
        await made.until(lambda: made.info().starts == 2 and made.info().status == "running")
        assert not made.servers.restart("nobody")


CANNOT_START = {
    "no program": (stdio(command="no-such-program"), "there is no program `no-such-program`"),
    "not absolute": (stdio(command="a/b"), "`a/b` is no absolute path"),
    "outside the plugin": (stdio(command="./../x"), "there is no program `./../x`"),
    "ends at once": (stdio(command="/bin/false", args=()), "it"),
    "says why": (stdio(command="/bin/sh", args=("-c", "echo because >&2; exit 1")), "because"),
    "no MCP": (stdio(command="/bin/cat", args=("/etc/hostname",)), ""),
    "nobody listens": (HttpServer(name="sample", url="http://127.0.0.1:9/mcp"), ""),
}


@pytest.mark.parametrize(("entry", "said"), CANNOT_START.values(), ids=CANNOT_START)
async def test_a_server_that_cannot_start_is_tried_again_and_then_stays_off(entry, said):
    limits = McpLimits(backoff_s=0.01, backoff_max_s=0.01, failures_max=3)
    async with world(entry, limits=limits, folder="/srv") as made:
        await made.until_status("failed")
        info = made.info()
        assert info.starts == 3
        assert said in info.error
        assert made.servers.tools() == ()
        with anyio.fail_after(5), pytest.raises(McpFailure, match="is not running") as caught:
            await made.servers.get("sample").call("echo", {})
        assert caught.value.kind == "mcp_unavailable"
        made.servers.restart("sample")
        await made.until(lambda: made.info().starts > 3)


SECRET = "hunter2-secret-value"
LONG = "".join(chr(ord("a") + at % 26) for at in range(8000))


TELLING = {
    "at once": ("printf %s\\n $TOKEN >&2; exit 3", SECRET, "it said: ***"),
    "in two pieces": (
        "printf hunter2-secret >&2; sleep 0.2; printf %s -value-and-more >&2; exit 3",
        SECRET,
        "it said: ***-and-more",
    ),
    "longer than what is kept": ("printf %s $TOKEN >&2; printf ' bye' >&2; exit 3", LONG, "it said: *** bye"),
    "many times": ("for i in 1 2 3 4 5; do printf %s, $TOKEN >&2; done; exit 3", LONG, "it said: ***,***,"),
}


@pytest.mark.parametrize(("script", "secret", "said"), TELLING.values(), ids=TELLING)
async def test_what_a_server_was_given_to_keep_is_not_told_when_it_fails(caplog, script, secret, said):
    caplog.set_level("DEBUG")
    entry = stdio(command="/bin/sh", args=("-c", script), env={"TOKEN": secret, "FLAG": "it"})
    async with world(entry, limits=McpLimits(backoff_s=0.01, failures_max=1)) as made:
        await made.until_status("failed")
        assert said in made.info().error
        with pytest.raises(McpFailure) as caught:
            await made.servers.get("sample").call("echo", {})
    for told in (made.info().error, str(caught.value), caplog.text):
        assert secret[:6] not in told
        assert secret[-6:] not in told


TELLS = """
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if method == "initialize":
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "small", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("a", "b", "c")]}
    elif method == "tools/call" and message["params"]["name"] == "a":
        result = {"content": [{"type": "text", "text": "wrong: " + os.environ["TOKEN"]}], "isError": True}
    elif method == "tools/call" and message["params"]["name"] == "b":
        print("dying of", os.environ["TOKEN"], file=sys.stderr, flush=True)
        os._exit(1)
    elif "id" in message:
        error = {"code": -32000, "message": "no: " + os.environ["TOKEN"]}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}), flush=True)
        continue
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


@pytest.mark.parametrize(("tool", "said"), [("a", "wrong: ***"), ("b", "dying of ***"), ("c", "no: ***")])
async def test_nor_when_a_call_of_it_fails(tmp_path, tool, said):
    source = tmp_path / "tells.py"
    source.write_text(TELLS)
    async with world(stdio(args=("-S", str(source)), env={"TOKEN": SECRET})) as made:
        with pytest.raises(ToolFailure) as caught:
            await made.call(tool)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_of_what_is_struck_out_the_longest_counts_and_short_words_stay():
    secrets = secrets_of(stdio(env={"A": "abcd", "B": "abcdefgh", "C": "abc", "D": ""}))
    assert secrets.struck("abcdefgh abcd abc") == "*** *** abc"
    headers = {"Authorization": "Bearer tok-123", "X-Short": "1"}
    secrets = secrets_of(HttpServer(name="x", url="http://x", headers=headers))
    assert secrets.struck("Bearer tok-123, tok-123, Bearer 1") == "***, ***, Bearer 1"


async def test_a_server_that_says_nothing_is_given_up_after_its_time():
    limits = McpLimits(connect_timeout_s=0.3, backoff_s=0.01, failures_max=1)
    async with world(stdio(command="/bin/sleep", args=("1000",)), limits=limits) as made:
        await made.until_status("failed")
        assert made.info().error == "it did not answer within 0.3 s"


async def test_a_call_without_an_answer_ends_after_its_time_and_the_server_goes_on():
    async with world(limits=McpLimits(call_timeout_s=0.3)) as made:
        with pytest.raises(ToolFailure) as caught:
            await made.call("hang")
        assert caught.value.kind == "timeout"
        assert await made.call("echo", {"text": "still"}) == "still"
        assert made.info().starts == 1


async def test_a_cancelled_call_leaves_the_server_usable(tmp_path):
    here = tmp_path / "here"
    os.mkfifo(here)
    async with world() as made:
        async with anyio.create_task_group() as group:
            group.start_soon(made.call, "hang", {"mark": str(here)})
            await anyio.to_thread.run_sync(here.read_text)
            group.cancel_scope.cancel()
        assert await made.call("echo", {"text": "still"}) == "still"


async def test_a_change_of_the_tools_is_followed():
    async with world() as made:
        before = {tool.name for tool in made.servers.tools()}
        assert await made.call("grow") == "done"
        await made.until(lambda: "mcp__sample__grown" in {tool.name for tool in made.servers.tools()})
        assert {tool.name for tool in made.servers.tools()} - before == {"mcp__sample__grown"}
        assert await made.call("grown") == "grown"


async def test_a_question_goes_to_a_person_and_the_call_does_not_age_meanwhile():
    asked = []
    answering = anyio.Event()

    async def elicit(elicitation):
        asked.append(elicitation)
        await answering.wait()
        return ElicitationAnswer(action="accept", content={"colour": "blue"})

    async with world(elicit=elicit, limits=McpLimits(call_timeout_s=0.5)) as made:
        async with anyio.create_task_group() as group:
            answers = []

            async def call():
                answers.append(await made.call("ask"))

            group.start_soon(call)
            with anyio.fail_after(10):
                while not asked:
                    await anyio.wait_all_tasks_blocked()
            with anyio.move_on_after(0.7):
                await anyio.sleep_forever()  # Longer than the call may take by itself.
            answering.set()
        assert answers == ["accept blue"]
    (elicitation,) = asked
    assert (elicitation.server, elicitation.message) == ("sample", "Which colour?")
    assert elicitation.schema["properties"]["colour"]["type"] == "string"


async def test_a_declined_question_is_told_to_the_server():
    async def elicit(elicitation):
        del elicitation
        return ElicitationAnswer(action="decline")

    async with world(elicit=elicit) as made:
        assert await made.call("ask") == "decline"


async def test_where_nobody_is_asked_the_server_is_told_so():
    async with world() as made:
        with pytest.raises(ToolFailure):
            await made.call("ask")


async def test_the_end_leaves_no_process_though_they_ignore_signals():
    async with world() as made:
        pids = await pids_of_family(made)
        assert len(living(pids)) == 4
    assert living(pids) == []


async def test_fifty_sets_of_servers_opened_and_closed_leave_nothing(tmp_path):
    """A small server without the SDK: fifty of those would be minutes."""
    source = tmp_path / "small.py"
    source.write_text(SMALL)
    pids = tmp_path / "pids"
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
    entry = stdio(args=("-S", str(source), str(pids)))
    for _ in range(10):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(_open_and_close, entry)
    started = [int(line) for line in pids.read_text().split()]
    assert len(started) == 100  # Each has a child of its own.
    assert living(started) == []
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 2  # noqa: PTH208


async def _open_and_close(entry):
    async with world(entry) as made:
        assert made.info().status == "running"
        assert await made.call("hello") == "hello"


SMALL = """
import json, os, subprocess, sys
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n{child.pid}\\n")
for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if method == "initialize":
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "small", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [{"name": "hello", "inputSchema": {"type": "object"}}]}
    elif method == "tools/call":
        result = {"content": [{"type": "text", "text": "hello"}]}
    elif "id" in message:
        answer = {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no"}}
        print(json.dumps(answer), flush=True)
        continue
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


@contextlib.contextmanager
def http_server(port=0):
    """Run the sample server on loopback; gives its address."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        listening.set_inheritable(True)
        number = listening.getsockname()[1]
        argv = [sys.executable, SERVER, "http", str(listening.fileno())]
        process = subprocess.Popen(argv, pass_fds=[listening.fileno()])
    try:
        yield f"http://127.0.0.1:{number}/mcp", process, number
    finally:
        process.kill()
        process.wait()


async def test_a_server_over_http_is_used_and_its_questions_and_changes_are_heard():
    async def elicit(elicitation):
        del elicitation
        return ElicitationAnswer(action="accept", content={"colour": "red"})

    with http_server() as (url, _, _):
        async with world(HttpServer(name="sample", url=url), elicit=elicit) as made:
            assert made.info().type == "http"
            assert made.info().status == "running", made.info()
            assert await made.call("echo", {"text": "hello"}) == "hello"
            assert await made.call("ask") == "accept red"
            with pytest.raises(ToolFailure, match="as asked"):
                await made.call("fail")
            await made.call("grow")
            await made.until(lambda: "mcp__sample__grown" in {tool.name for tool in made.servers.tools()})


async def test_a_server_over_http_that_goes_away_and_comes_back_is_used_again():
    with http_server() as (url, process, port):
        async with world(HttpServer(name="sample", url=url)) as made:
            assert await made.call("echo", {"text": "one"}) == "one"
            process.kill()
            await anyio.to_thread.run_sync(process.wait)
            with http_server(port):
                await made.until(lambda: made.info().starts > 1 and made.info().status == "running")
                assert await made.call("echo", {"text": "two"}) == "two"


def test_names_of_tools_are_ones_that_models_take():
    assert tool_name("files", "read_file") == "mcp__files__read_file"
    odd, long = tool_name("files", "read file/é"), tool_name("files", "x" * 100)
    assert odd.startswith("mcp__files__read_file___")
    assert len(long) == 64
    assert len({odd, long, tool_name("files", "read file/e"), tool_name("files", "x" * 101)}) == 4


def test_references_of_a_foreign_schema_are_written_out():
    schema = {
        "$schema": "x",
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "https://elsewhere"}},
        "$defs": {"A": {"type": "array", "items": {"$ref": "#/$defs/A"}}},
    }
    properties = plain_schema(schema)["properties"]
    assert properties == {"a": {"type": "array", "items": {}}, "b": {}}


def test_a_schema_that_is_too_large_or_no_object_is_refused():
    definitions = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 10} for n in range(20)}
    bomb = {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": definitions}
    deep = {"type": "object"}
    for _ in range(50):
        deep = {"type": "object", "properties": {"a": deep}}
    for schema in (bomb, deep, {"type": "string"}, {"type": "object", "description": "x" * 100_000}):
        with pytest.raises(BadSchema):
            plain_schema(schema)
