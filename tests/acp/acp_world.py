"""An editor under the test's control, and the bridge it speaks to: in the test's own loop, or as a process.

Every message of both sides is held to the published schema; what does not fit fails the test at its end,
apart from what a test sends wrong on purpose (`send`).
"""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from published_schema import Watch

from fakes.daemons import Home, InProcessDaemon
from fakes.links import Link, pipes
from holdfast_client import aio
from holdfast_client.aio.client import Client
from holdfast_client.bridges.acp.greeting import Greeted
from holdfast_client.bridges.acp.program import serve
from holdfast_client.bridges.acp.stdio import Pipes
from holdfast_protocol import discovery

WAIT_S = 30.0
"""The bound of every wait: far above what it takes, for the machine may be shared."""

EVERYTHING: dict[str, Any] = {
    "fs": {"readTextFile": True, "writeTextFile": True},
    "terminal": True,
    "session": {"notices": {}, "compaction": {}, "configOptions": {"boolean": {}}},
    "elicitation": {"form": {}, "url": {}},
}

SHOWING: dict[str, Any] = {"session": {"notices": {}, "compaction": {}}}

HANG = "script:\n  - text: I wait.\n    hang: true\n"


def text(words: str) -> list[dict[str, Any]]:
    """Give a prompt of one text."""
    return [{"type": "text", "text": words}]


class Refused(Exception):
    """The agent answered with an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data")


class Asked:
    """A request of the agent's, to be answered by the test.

    Attributes:
        params: what it asks.
        is_taken_back: it was cancelled with `$/cancel_request`.
    """

    def __init__(self, editor: "Editor", message: dict[str, Any]) -> None:
        self._editor = editor
        self.id = message["id"]
        self.method = message["method"]
        self.params = message["params"]
        self.is_taken_back = False

    async def answer(self, result: Any) -> None:
        await self._editor.send({"jsonrpc": "2.0", "id": self.id, "result": result})

    async def refuse(self, code: int, message: str) -> None:
        await self._editor.send(
            {"jsonrpc": "2.0", "id": self.id, "error": {"code": code, "message": message}}
        )

    async def choose(self, kind: str) -> None:
        """Answer a permission with the first option of a kind."""
        option = next(option for option in self.params["options"] if option["kind"] == kind)
        await self.answer({"outcome": {"outcome": "selected", "optionId": option["optionId"]}})


class Pending:
    """A request of the editor's that may not be answered yet."""

    def __init__(self, editor: "Editor", call_id: Any) -> None:
        self._editor = editor
        self.id = call_id

    async def result(self) -> Any:
        """Wait for the answer."""
        answer = await self._editor.until(lambda: self._editor.answers.get(self.id))
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    @property
    def is_answered(self) -> bool:
        return self.id in self._editor.answers


class Editor:
    """An ACP client. Reads all the time; waits look at what has come.

    Attributes:
        messages: all that came, oldest first.
        answers: to the editor's requests, by id.
        watch: holds both sides to the schema.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._changed = anyio.Event()
        self._last_id = 0
        self.messages: list[dict[str, Any]] = []
        self.answers: dict[Any, dict[str, Any]] = {}
        self.asked: list[Asked] = []
        self.is_ended = False
        self.watch = Watch()
        self.sent_wrong = False

    async def read(self) -> None:
        """Take what comes until the agent's end."""
        rest = b""
        while piece := await self._link.read():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
            self._wake()
        assert not rest, f"the agent ended within a line: {rest!r}"
        self.is_ended = True
        self._wake()

    def _take(self, message: dict[str, Any]) -> None:
        self.watch.see("agent", message)
        self.messages.append(message)
        if "method" not in message:
            self.answers[message["id"]] = message
        elif "id" in message:
            self.asked.append(Asked(self, message))
        elif message["method"] == "$/cancel_request":
            for asked in self.asked:
                asked.is_taken_back |= asked.id == message["params"]["requestId"]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, look: Callable[[], Any]) -> Any:
        """Wait until something is true, and give it."""
        while not (found := look()):
            assert not self.is_ended, "the agent ended its side"
            await self._changed.wait()
        return found

    # Speaking ------------------------------------------------------------------------------------------

    async def send(self, message: Any, *, wrong: bool = False) -> None:
        """Send a message as it is; `wrong` ones are not held to the schema."""
        if not wrong:
            self.watch.see("client", message)
        await self.send_bytes(json.dumps(message).encode() + b"\n")

    async def send_bytes(self, data: bytes) -> None:
        await self._link.write(data)

    async def start(self, method: str, *, wrong: bool = False, call_id: Any = None, **params: Any) -> Pending:
        """Send a request."""
        self._last_id += 1
        call_id = self._last_id if call_id is None else call_id
        if wrong:  # What it is answered is no answer to nothing.
            self.watch._asked["client", json.dumps(call_id)] = method
        await self.send({"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}, wrong=wrong)
        return Pending(self, call_id)

    async def call(self, method: str, **params: Any) -> Any:
        """Send a request and wait for its result."""
        return await (await self.start(method, **params)).result()

    async def notify(self, method: str, **params: Any) -> None:
        await self.send({"jsonrpc": "2.0", "method": method, "params": params})

    async def initialize(self, capabilities: Mapping[str, Any] | None = None) -> Any:
        return await self.call(
            "initialize",
            protocolVersion=1,
            clientCapabilities=dict(SHOWING if capabilities is None else capabilities),
            clientInfo={"name": "test", "version": "1"},
        )

    async def new(self, cwd: Path, **params: Any) -> str:
        made = await self.call("session/new", cwd=str(cwd), mcpServers=[], **params)
        return made["sessionId"]

    async def prompt(self, session_id: str, words: str) -> Pending:
        return await self.start("session/prompt", sessionId=session_id, prompt=text(words))

    def close(self) -> None:
        """End the editor's side."""
        self._link.close()

    # What came -----------------------------------------------------------------------------------------

    def updates(self, session_id: str | None = None, kind: str | None = None) -> list[dict[str, Any]]:
        """Give updates that came, oldest first."""
        found = [message["params"] for message in self.messages if message.get("method") == "session/update"]
        return [
            params["update"]
            for params in found
            if session_id in (None, params["sessionId"]) and kind in (None, params["update"]["sessionUpdate"])
        ]

    async def update(self, kind: str, **members: Any) -> dict[str, Any]:
        """Wait for an update of a kind with these members."""

        def look() -> Any:
            for update in self.updates(kind=kind):
                if all(update.get(name) == value for name, value in members.items()):
                    return update
            return None

        return await self.until(look)

    async def request(self, method: str, index: int = 0) -> Asked:
        """Wait for a request of the agent's."""

        def look() -> Any:
            found = [asked for asked in self.asked if asked.method == method]
            return found[index] if len(found) > index else None

        return await self.until(look)

    def said(self, session_id: str | None = None) -> str:
        """Give all the agent has said."""
        chunks = self.updates(session_id, "agent_message_chunk")
        return "".join(chunk["content"].get("text", "") for chunk in chunks)

    def place(self, look: Callable[[dict[str, Any]], bool]) -> int:
        """Give the place of the first message that came of which something holds."""
        return next(index for index, message in enumerate(self.messages) if look(message))


def locations(home: Home) -> discovery.Locations:
    return discovery.Locations(config="", state=str(home.state), runtime=str(home.runtime))


@asynccontextmanager
async def daemon_in(home: Home) -> AsyncIterator[InProcessDaemon]:
    """Run a daemon in the test's loop."""
    async with anyio.create_task_group() as tasks:
        daemon = InProcessDaemon(home, tasks)
        await daemon.start()
        yield daemon
        await daemon.stop()


@asynccontextmanager
async def client_of(home: Home, **options: Any) -> AsyncIterator[Client]:
    """Attach to a home's daemon as any other client would."""
    async with aio.connect("attach", locations=locations(home), autostart=False, **options) as client:
        yield client


@asynccontextmanager
async def editor_in(home: Home, *, wrong: bool = False) -> AsyncIterator[Editor]:
    """Run a bridge in the test's loop, and an editor at it that has said nothing yet.

    Args:
        home: of the daemon.
        wrong: the editor does wrong on purpose: only what the agent says is held to the schema.
    """
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()
    editor = Editor(pipes(our_in, our_out))

    def make_client(answers: Mapping[Any, Any], name: str) -> Client:
        return aio.connect(
            "attach", locations=locations(home), autostart=False, answer=answers or None, name=name
        )

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_run_bridge, (their_in, their_out), make_client)
        tasks.start_soon(editor.read)
        yield editor
        await _end(editor, tasks)
    _check(editor, wrong=wrong)


@asynccontextmanager
async def editing(home: Home, *, wrong: bool = False) -> AsyncIterator[Editor]:
    """Run a daemon, a bridge and an editor; all of it is bounded."""
    with anyio.fail_after(WAIT_S):
        async with daemon_in(home), editor_in(home, wrong=wrong) as editor:
            yield editor


async def _run_bridge(descriptors: tuple[int, int], make_client: Any) -> None:
    bridge_pipes = Pipes(*descriptors)
    try:
        await serve(bridge_pipes, Greeted(b"", answered=False), make_client)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


async def _end(editor: Editor, tasks: TaskGroup) -> None:
    editor.close()
    tasks.cancel_scope.cancel()


def _check(editor: Editor, *, wrong: bool) -> None:
    found = [violation for violation in editor.watch.violations if not (wrong and "client" in violation)]
    assert found == []


class BridgeProcess:
    """`holdfast acp` as a process, and the editor at it.

    Attributes:
        editor: the editor.
        process: the process.
    """

    def __init__(self, home: Home) -> None:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home.path),
            "HOLDFAST_HOME": str(home.path / "hf"),
            "XDG_CONFIG_HOME": str(home.path / "config"),
        }
        their_in, our_out = os.pipe()
        our_in, their_out = os.pipe()
        self.process = subprocess.Popen(
            [str(Path(sys.executable).with_name("holdfast")), "acp"],
            stdin=their_in,
            stdout=their_out,
            stderr=subprocess.DEVNULL,
            env=environ,
            cwd=home.path,
        )
        os.close(their_in)
        os.close(their_out)
        self.editor = Editor(pipes(our_in, our_out))

    async def exited(self) -> int:
        return await anyio.to_thread.run_sync(self.process.wait, abandon_on_cancel=True)

    def kill(self) -> None:
        self.process.kill()


@asynccontextmanager
async def bridge_process(home: Home) -> AsyncIterator[BridgeProcess]:
    """Run `holdfast acp`, and an editor at it that has said nothing yet."""
    bridge = BridgeProcess(home)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bridge.editor.read)
            yield bridge
            await _end(bridge.editor, tasks)
    finally:
        bridge.kill()
        bridge.process.wait()
    _check(bridge.editor, wrong=False)
