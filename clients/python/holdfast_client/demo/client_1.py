"""Client 1: a program of its own, that follows session A, writes down each event, and answers for its user.

    python -m holdfast_client.demo.client_1_main SESSION NOTEBOOK [--hold]

It goes on after the last event in its notebook. On standard output it says the seq of each event it has
written down, one per line. With `--hold` it stops in its tracks once it has seen the question about the edit
close, so that it can be killed at a known place. It leaves when its standard input ends.
"""

import sys
from pathlib import Path
from typing import Final

import anyio

from holdfast_client import aio
from holdfast_client.core.tail import AnyEvent
from holdfast_client.demo import sample_project
from holdfast_client.demo.notebook import Notebook
from holdfast_protocol import events

CLIENT_ID: Final = "demo-client-1"

HOLD: Final = "--hold"

HOLDS: Final = "holds"
"""What it says when it has stopped."""


class _User:
    """Who sits at client 1: approves the plan and the tests, and leaves edits to somebody else."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self.client: aio.Client | None = None

    async def answer(self, ask: aio.Ask) -> aio.Answer | None:
        match ask.request.detail:
            case {"question": "plan"}:
                await self._say_how()
                return aio.Answer(outcome="ask")
            case {"tool": "shell"}:
                return aio.Answer(outcome="allow", scope="session")
            case _:
                return None

    async def _say_how(self) -> None:
        """Steer: the offline model is told by a script what carrying out the plan means."""
        assert self.client is not None
        session = self.client.session(self._session_id)
        await session.prompt(sample_project.script("fix"), prompt_id="demo-fix", delivery="steer")


class _Sight:
    """Tells when the question about the edit has closed."""

    def __init__(self) -> None:
        self._edits: set[str] = set()

    def closes(self, event: AnyEvent) -> bool:
        match event:
            case events.RequestOpened(detail={"tool": "edit"}):
                self._edits.add(event.request_id)
                return False
            case events.RequestResolved():
                return event.request_id in self._edits
            case _:
                return False


async def _write_down(session_id: str, notebook: Notebook, hold: bool) -> None:
    user = _User(session_id)
    sight = _Sight()
    async with aio.connect(
        "attach", autostart=False, answer=user.answer, client_id=CLIENT_ID, name="client 1"
    ) as client:
        user.client = client
        session = client.session(session_id)
        await session.attend()
        async for event in session.events(after=notebook.cursor):
            notebook.add(event)
            _say(str(event.seq))
            if sight.closes(event) and hold:
                _say(HOLDS)
                await anyio.sleep_forever()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def follow(session_id: str, path: str, *flags: str) -> None:
    """Follow until standard input ends; the arguments are the program's."""
    with Notebook(Path(path)) as notebook:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_write_down, session_id, notebook, HOLD in flags)
            await anyio.wait_readable(sys.stdin)
            tasks.cancel_scope.cancel()
