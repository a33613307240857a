"""Every example of protocol/PROTOCOL.md is what happens (the document's own promise, "Examples")."""

import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.stapled import StapledByteStream
from protocol_examples import PROTOCOL_MD, Block, blocks, match, steps
from protocol_runner import HEADERS, LINES, WAIT_S, Conversation, Wire, prepare, running_daemon

from fakes.unconfined import FLAGS

BLOCKS = blocks(PROTOCOL_MD.read_text(encoding="utf-8"))

STARTS = ("connection", "initialized", "session", "completed", "running", "failed")

OVER_SOCKETS = [block for block in BLOCKS if block.info in {f"jsonc {start}" for start in STARTS}]
OVER_STDIO = [block for block in BLOCKS if block.info == "jsonc stdio"]
BYTES = [block for block in BLOCKS if block.info.startswith("text bytes ")]
RECORDS = [block for block in BLOCKS if block.info == "json record"]

in_both_framings = pytest.mark.parametrize("framing", [LINES, HEADERS])


def _each(found: list[Block]) -> Any:
    return pytest.mark.parametrize("block", found, ids=lambda block: f"line {block.line}")


@pytest.fixture
def cwd(home):
    """A directory with a file to read, for sessions to work in."""
    (home.work / "README.md").write_text("# Hello\n\nA file to read.\n")
    return str(home.work.resolve())


def _bound(record: Any, cwd: str) -> dict[str, Any]:
    runtime = str(Path(record["unix"]).parent)
    return {
        "<token>": record["token"],
        "<cwd>": cwd,
        "<unix>": record["unix"],
        "<runtime>": runtime,
        "<state>": record["state"],
        "<port>": record["tcp"][1],
        "<wsPort>": record["ws"][1],
        "<instanceId>": record["instanceId"],
    }


def test_every_fenced_block_is_executed_by_one_of_these_tests():
    executed = [*OVER_SOCKETS, *OVER_STDIO, *BYTES, *RECORDS]
    assert [block.line for block in BLOCKS if block not in executed] == []
    assert len(OVER_SOCKETS) > 20
    assert OVER_STDIO
    assert BYTES
    assert RECORDS


@in_both_framings
@_each(OVER_SOCKETS)
async def test_an_example_is_what_happens(block, framing, home, cwd):
    async with running_daemon(home) as record, AsyncExitStack() as stack:

        async def connect():
            wire = Wire(await anyio.connect_unix(record["unix"]), framing)
            return await stack.enter_async_context(wire)

        with anyio.fail_after(WAIT_S):
            wire, bound = await connect(), _bound(record, cwd)
            await prepare(block.info.removeprefix("jsonc "), wire, bound)
            await Conversation(wire, bound, connect).play(steps(block.text))


@in_both_framings
@_each(OVER_STDIO)
async def test_an_example_of_embedding_is_what_happens_over_pipes(block, framing, home, cwd):
    holdfastd = str(Path(sys.executable).with_name("holdfastd"))
    command = [holdfastd, "--stdio", "--state", str(home.state), *FLAGS]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with anyio.fail_after(WAIT_S):
            wire = Wire(StapledByteStream(process.stdin, process.stdout), framing)
            bound = {"<cwd>": cwd}
            await prepare("stdio", wire, bound)
            await Conversation(wire, bound).play(steps(block.text))
            await process.stdin.aclose()
            assert await process.wait() == 0


@_each(BYTES)
async def test_an_example_in_bytes_is_exactly_those(block, home, cwd):
    framing = block.info.rpartition(" ")[2]
    async with running_daemon(home) as record:
        wire = Wire(await anyio.connect_unix(record["unix"]), framing)
        with anyio.fail_after(WAIT_S):
            async with wire:
                await prepare("initialized", wire, _bound(record, cwd))
                for mark, data in _directions(block.text):
                    if mark == "→":
                        await wire.stream.send(data)
                    else:
                        assert await wire.receive_exactly(len(data)) == data


@_each(RECORDS)
async def test_the_record_is_the_one_a_daemon_writes(block, home, cwd):
    async with running_daemon(home) as record:
        match(json.loads(block.text), record, _bound(record, cwd))
        path = anyio.Path(home.runtime / "daemon-v1.json")
        assert (await path.stat()).st_mode & 0o777 == 0o600


def _directions(text: str) -> list[tuple[str, bytes]]:
    """Join what is sent in one direction without an answer between."""
    found: list[tuple[str, bytes]] = []
    for line in text.splitlines():
        data = line[2:].replace("\\r", "\r").replace("\\n", "\n").encode()
        if found and found[-1][0] == line[0]:
            data = found.pop()[1] + data
        found.append((line[0], data))
    return found
