"""What `holdfast acp` becomes once `initialize` is answered. Its end leaves all sessions as they are."""

import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, Final

import anyio

from holdfast_client import aio
from holdfast_client.aio.client import Client
from holdfast_client.bridges.acp.bridge import Bridge, MakeClient
from holdfast_client.bridges.acp.greeting import Greeted
from holdfast_client.bridges.acp.peer import Peer
from holdfast_client.bridges.acp.stdio import Pipes

_STDIN: Final = 0
_STDOUT: Final = 1
_STDERR: Final = 2


def run(greeted: Greeted) -> int:
    """Serve the editor at standard input and output until it ends its side; give the exit code.

    Args:
        greeted: what was read of it so far.
    """
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="holdfast acp: %(message)s")
    sink = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)  # No stray output gets between the messages.
    pipes = Pipes(_STDIN, sink)
    try:
        anyio.run(_serve_until_ended, pipes, greeted)
    finally:
        pipes.close()
    return 0


async def serve(pipes: Pipes, greeted: Greeted, make_client: MakeClient) -> None:
    """Serve an editor until it ends its side.

    Args:
        pipes: to it and from it.
        greeted: what was read of it so far.
        make_client: makes clients of the daemon.
    """
    peer = Peer(pipes, greeted.received, skip_first=greeted.answered)
    async with anyio.create_task_group() as tasks:
        await peer.run(Bridge(peer, make_client, tasks))
        tasks.cancel_scope.cancel()


def make_client(answers: Mapping[Any, Any], name: str) -> Client:
    """Make a client of the user's daemon, which is started if none runs."""
    return aio.connect("attach", answer=answers or None, name=name or "ACP editor")


async def _serve_until_ended(pipes: Pipes, greeted: Greeted) -> None:
    """Serve until the editor ends its side, or somebody ends this process."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_on_signal, tasks.cancel_scope)
        await serve(pipes, greeted, make_client)
        tasks.cancel_scope.cancel()


async def _end_on_signal(scope: anyio.CancelScope) -> None:
    """End quietly: only the bridge ends, whatever runs goes on."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()
            return
