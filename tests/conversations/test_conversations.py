"""Conversations with the real daemon, as files, over every transport and framing.

Where each promise comes from is said in its file. A failure names the file (in the test's id) and the line.
"""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from conversations.conversation import Conversation, conversation_files, load
from conversations.runner import have
from conversations.world import WIRES, Wire, World
from fakes.home import Home


def _cases() -> Iterator[Any]:
    for path in conversation_files():
        conversation = load(path)
        for wire in WIRES:
            if not conversation.transports or wire.transport in conversation.transports:
                yield pytest.param(conversation, wire, id=f"{path.stem}-{wire}")


@pytest.mark.parametrize(("conversation", "wire"), list(_cases()))
async def test_a_conversation_goes_as_its_file_says(
    conversation: Conversation, wire: Wire, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    stdio = wire.transport == "stdio"
    await have(conversation, home, lambda daemon: World(wire, home, daemon), stdio=stdio)
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    errors += home.logged_errors()
    assert errors == [] or conversation.logs_errors
