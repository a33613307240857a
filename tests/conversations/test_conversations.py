"""Conversations with the real daemon, as files, over every transport and framing.

Where each promise comes from is said in its file. A failure names the file (in the test's id) and the line.
"""

import logging
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest

from conversations.conversation import conversation_files, load
from conversations.runner import Runner
from conversations.world import WIRES, Wire, World
from fakes.daemons import Home, InProcessDaemon, ProcessDaemon


@pytest.mark.parametrize("wire", WIRES, ids=str)
@pytest.mark.parametrize("path", conversation_files(), ids=lambda path: path.stem)
async def test_a_conversation_goes_as_its_file_says(
    path: Path, wire: Wire, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    conversation = load(path)
    with ExitStack() as stack:
        async with anyio.create_task_group() as tasks:
            daemon: InProcessDaemon | ProcessDaemon
            if conversation.needs_process or wire.transport == "stdio":
                daemon = stack.enter_context(ProcessDaemon(home, stdio=wire.transport == "stdio"))
            else:
                daemon = InProcessDaemon(home, tasks)
            await Runner(conversation, World(wire, home, daemon)).run()
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    errors += home.logged_errors()
    assert errors == [] or conversation.logs_errors
