"""MCP over the pipes of a child process, as a transport of the SDK. Imports the SDK: import it on first use.

Unlike with the SDK's own, the child is confined and marked as ours, its environment is the session's, not the
daemon's, it ends with all it started, and no message is longer than a limit. Lines that are no JSON-RPC are
skipped: many servers greet on stdout.
"""

import codecs
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from holdfast_daemon.extensions.child import Child, ChildPlace, LineReader, TooLong
from holdfast_daemon.extensions.mcp_values import Secrets

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
_STDERR_KEPT: Final = 4096

_Incoming = MemoryObjectSendStream[SessionMessage | Exception]
_Outgoing = MemoryObjectReceiveStream[SessionMessage]
_Streams = tuple[
    MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]
]

_log = logging.getLogger(__name__)


class LastWords:
    """The end of what a server wrote to stderr, and why its connection ended.

    Args:
        secrets: of the server; none of them is in `stderr`.
    """

    def __init__(self, secrets: Secrets) -> None:
        self.secrets = secrets
        self.stderr = ""
        self.reason: str | None = None
        self.lost = anyio.Event()  # Set when nothing more can come.

    def hear(self, text: str) -> None:
        """Add what it wrote to stderr; keeps the end, with room for a secret that has only begun."""
        heard = self.secrets.struck(self.stderr + text)
        self.stderr = heard[-(_STDERR_KEPT + self.secrets.longest) :]

    def lose(self, reason: str) -> None:
        """Say that the connection ended; the first reason counts."""
        self.reason = self.reason or reason
        self.lost.set()


@asynccontextmanager
async def stdio_transport(
    argv: tuple[str, ...], place: ChildPlace, last_words: LastWords
) -> AsyncGenerator[_Streams]:
    """Start a server and speak to it; it and all it started are gone when the context is left.

    Raises:
        OSError: it could not be started.
        ValueError: an argument has a NUL.
    """
    child = await Child.start(argv, place)
    try:
        incoming, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        write, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
        async with incoming, read, write, outgoing, anyio.create_task_group() as group:
            group.start_soon(_read, child, incoming, last_words)
            group.start_soon(_write, child, outgoing, last_words)
            group.start_soon(_listen, child, last_words)
            group.start_soon(_watch, child, last_words)
            try:
                yield read, write
            finally:
                with anyio.CancelScope(shield=True):
                    await _leave(child, place.grace_s)
                group.cancel_scope.cancel()
    finally:
        await child.end()


async def _leave(child: Child, grace_s: float) -> None:
    """Let the server go by itself, as the specification has it: its stdin ends."""
    await child.close_input()
    with anyio.move_on_after(grace_s):
        await child.exited()


async def _read(child: Child, incoming: _Incoming, last_words: LastWords) -> None:
    lines = LineReader(child.receive, MESSAGE_BYTES_MAX)
    async with incoming:
        try:
            while (line := await lines.line()) is not None:
                if (message := _message(line)) is not None:
                    await incoming.send(message)
        except TooLong as error:
            last_words.lose(f"it sent {error}")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # The session is gone already.
        last_words.lose("it closed its output")


def _message(line: bytes) -> SessionMessage | None:
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except (ValueError, RecursionError):
        _log.debug("an MCP server wrote a line that is no message")
        return None


async def _write(child: Child, outgoing: _Outgoing, last_words: LastWords) -> None:
    async for session_message in outgoing:
        text = session_message.message.model_dump_json(by_alias=True, exclude_unset=True)
        try:
            await child.send(text.encode() + b"\n")
        except BrokenPipeError:
            last_words.lose("it does not read any more")


async def _listen(child: Child, last_words: LastWords) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    while data := await child.receive_error():
        last_words.hear(decoder.decode(data))


async def _watch(child: Child, last_words: LastWords) -> None:
    await child.exited()
    last_words.lose("its process ended")
