"""The async library runs on trio too."""

import os
import signal

import anyio
import pytest
from library_world import WAIT_S, client_of, load

from fakes.daemons import Home, ProcessDaemon
from holdfast_client import aio
from holdfast_protocol import events

pytestmark = pytest.mark.timeout(120)


def test_a_reader_on_trio_does_not_notice_a_killed_daemon(home: Home):
    async def main() -> None:
        async with client_of(home) as client:
            session = await client.create_session(str(home.work))
            await session.prompt(load(1_000_000, 10_000))
            seqs = []
            with anyio.fail_after(WAIT_S):
                async for event in session.events():
                    seqs.append(event.seq)
                    if event.seq == 500:
                        await daemon.kill()
                        await daemon.start()
                    if isinstance(event, events.Terminal):
                        break
            assert seqs == list(range(1, seqs[-1] + 1))

    with ProcessDaemon(home) as daemon:
        anyio.run(daemon.start)
        anyio.run(main, backend="trio")


def test_a_sidecar_tools_and_answers_work_on_trio(home: Home):
    async def add(x: int) -> int:
        """Add one."""
        return x + 1

    async def main() -> None:
        async with aio.connect("spawn", state=home.state, answer=lambda _ask: "allow") as client:
            session = await client.create_session(str(home.work))
            await session.host_tools({"add": add})
            pid = client.server.server.pid
            os.kill(pid, signal.SIGKILL)
            with anyio.fail_after(WAIT_S):
                result = await session.run("script:\n  - call: {tool: add, input: {x: 1}}\n  - text: Done.\n")
            (completed,) = [event for event in result.events if isinstance(event, events.ToolCallCompleted)]
            assert completed.result[0].text == "2"
            assert client.server.server.pid != pid

    anyio.run(main, backend="trio")
