"""The interactive terminal: a person in a session, with an input line below what happens.

    run(session_id)    stay until the person leaves; gives the exit code

Reading order: `visit` (what a person does), `transcript` (events as items), `drawing` (items as lines),
`screen` (lines onto the terminal). `items`, `paragraphs`, `changes`, `questions`, `commands` and `status` are
pure. Only this package imports prompt_toolkit and rich; the plain shell comes without them.
"""

import logging
import os
import sys
from pathlib import Path
from secrets import token_hex
from typing import Final

import anyio
from prompt_toolkit.input import create_input

from holdfast_client import aio
from holdfast_client.errors import ClientError, DaemonNotRunning, DaemonUnreachable
from holdfast_client.shell import endpoint, streams
from holdfast_client.shell.exit_codes import FAILED, INTERRUPTED, OK, UNREACHABLE, CommandFailed, of_refusal
from holdfast_client.shell.screen import wants_color
from holdfast_client.terminal.glyphs import glyphs_for
from holdfast_client.terminal.joining import Past, past_of
from holdfast_client.terminal.questions import Questions
from holdfast_client.terminal.visit import Departure, Surroundings, Visit
from holdfast_protocol.errors import RpcError

__all__ = ["run"]

NAME: Final = "holdfast attach"

GIVE_UP_S: Final = 5.0
"""How long a call waits for a lost daemon; a prompt is sent again, which starts one that was stopped."""

HISTORY_FILE: Final = "terminal-history"
"""In the state directory, 0600."""


def run(session_id: str, *, prompt: str | None = None, color: str = "auto") -> int:
    """Attach this terminal to a session until the person leaves, and give the exit code.

    Standard input and output must be a terminal that is not dumb. A daemon that is not there is started.

    Args:
        session_id: a whole id.
        prompt: sent first.
        color: `auto`, `always` or `never`.

    Raises:
        CommandFailed: the session cannot be joined.
    """
    logging.getLogger("holdfast_client").addHandler(logging.NullHandler())  # Else it writes into the picture.
    surroundings = Surroundings(
        keyboard=create_input(sys.stdin),
        stream=sys.stdout,
        term=os.environ.get("TERM", ""),
        color=wants_color(sys.stdout, color, os.environ),
        glyphs=glyphs_for(sys.stdout.encoding),
        history=Path(endpoint.locate().state, HISTORY_FILE),
        me=f"terminal-{token_hex(4)}",
    )
    try:
        departure = anyio.run(_visits, session_id, prompt, surroundings)
    except KeyboardInterrupt:  # While joining; then Ctrl-C is a key.
        departure = Departure("interrupted", session_id)
    try:
        sys.stdout.write(_farewell(departure))
        sys.stdout.flush()
    except OSError:  # The terminal was closed.
        streams.abandon(sys.stdout.fileno())
    return INTERRUPTED if departure.how == "interrupted" else OK


def _farewell(departure: Departure) -> str:
    if departure.how == "ended":
        return ""
    return f"detached; the session goes on. Come back: holdfast attach {departure.session_id}\n"


async def _visits(session_id: str, prompt: str | None, surroundings: Surroundings) -> Departure:
    """Make one visit after another, until one is not left for the next."""
    while True:
        departure = await _visit(session_id, prompt, surroundings)
        if departure.how != "switched":
            return departure
        session_id, prompt = departure.session_id, None


async def _visit(session_id: str, prompt: str | None, surroundings: Surroundings) -> Departure:
    questions = Questions(anyio.current_time)
    try:
        async with aio.connect(
            "attach", answer=questions.ask, client_id=surroundings.me, name=NAME, give_up_s=GIVE_UP_S
        ) as client:
            past = await past_of(client, session_id)
            await client.session(session_id).attend()
            return await _stay(client, past, questions, surroundings, prompt)
    except (RpcError, ClientError) as failure:
        raise _failed(failure) from None
    except BaseExceptionGroup as failures:
        raise _first(failures) from None


async def _stay(
    client: aio.Client, past: Past, questions: Questions, surroundings: Surroundings, prompt: str | None
) -> Departure:
    departure = Departure("detached", past.found.session.session_id)
    async with anyio.create_task_group() as tasks:
        departure = await Visit(client, past, questions, surroundings, tasks).stay(prompt)
        tasks.cancel_scope.cancel()
    return departure


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give what the shell can tell of failures of tasks; all of them, if one is a bug."""
    known, bugs = failures.split((RpcError, ClientError))
    if known is None or bugs is not None:
        return failures
    failure = known.exceptions[0]
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return _failed(failure)


def _failed(failure: RpcError | ClientError) -> CommandFailed:
    """Give the failure as the shell tells it."""
    if isinstance(failure, RpcError):
        return CommandFailed(str(failure), of_refusal(failure.kind, {}), failure.kind)
    if isinstance(failure, DaemonNotRunning | DaemonUnreachable):
        return CommandFailed(str(failure), UNREACHABLE, "unreachable")
    return CommandFailed(str(failure), FAILED)
