"""Fifty sessions at once, clients dying among them: nobody else notices (P9)."""

import contextlib
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
from daemon_process import WAIT_S, Daemon, running, temporary_home
from wire_client import Client, Log

SESSIONS = 50
DELTAS = 400
STEADY = 10  # Connections that stay, each following every session of its share.
DYING = 20  # Connections of this process that are closed with events unread.
KILLED = 6  # Client processes that are killed.


def _script(number: int) -> str:
    """A stream of about a second that says of which session it is."""
    stream = f"{{blocks: 2, count: {DELTAS}, per_second: 400, text: 'session {number}. '}}"
    return f"script:\n  - interleave: {stream}\n"


def _doomed_process(daemon: Daemon, session_ids: list[str]) -> "subprocess.Popen[bytes]":
    program = Path(__file__).with_name("doomed_client.py")
    token = str(daemon.home / "state" / "token")
    return subprocess.Popen(
        [sys.executable, "-IS", str(program), daemon.record["unix"], token, *session_ids],
        stdout=subprocess.PIPE,
    )


async def _until_it_follows(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdout is not None
    await anyio.wait_readable(process.stdout.fileno())
    assert os.read(process.stdout.fileno(), 100) == b"following\n"


class _Progress:
    """How many events the steady clients have got: the clock by which the others die."""

    def __init__(self) -> None:
        self.events = 0
        self._more = anyio.Event()

    def add(self, events: int) -> None:
        self.events += events
        self._more.set()
        self._more = anyio.Event()

    async def until(self, events: int) -> None:
        while self.events < events:
            await self._more.wait()


async def _follow_all(client: Client, logs: list[Log], progress: _Progress) -> None:
    """Follow several sessions over one connection, to the end of the run in each."""
    unfinished = list(logs)
    while unfinished:
        before = sum(log.cursor for log in logs)
        await client.read_one()
        progress.add(sum(log.cursor for log in logs) - before)
        unfinished = [log for log in unfinished if not _has_completed(log)]


def _has_completed(log: Log) -> bool:
    return bool(log.bodies) and b'"type":"run_completed"' in log.bodies[-1]


async def _die_unread(client: Client, at: int, progress: _Progress) -> None:
    """Close a connection that reads nothing, so that the daemon's end gets a reset."""
    await progress.until(at)
    client.close()


async def _be_killed(process: "subprocess.Popen[bytes]", at: int, progress: _Progress) -> None:
    await progress.until(at)
    process.kill()


def _bury(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _check_stream(log: Log, number: int) -> None:
    """A whole log of one run, with the text that this session was to stream and no other."""
    events = log.events()
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    deltas = [event for event in events if event["type"] == "token_delta"]
    ends = [event for event in events if event["type"] == "content_block_end"]
    assert len(ends) == 2
    for end in ends:
        assert end["text"] == f"session {number}. " * (DELTAS // 2)
        assert "".join(x["text"] for x in deltas if x["blockId"] == end["blockId"]) == end["text"]


async def _doomed(
    daemon: Daemon, session_ids: list[str], chance: random.Random, stack: contextlib.ExitStack
) -> tuple[list[Client], list["subprocess.Popen[bytes]"]]:
    """Give connections and processes that follow sessions and are going to die."""
    dying = [await daemon.connect() for _ in range(DYING)]
    for client in dying:
        for name in chance.sample(session_ids, 10):
            await client.send("session/subscribe", sessionId=name, after="start")
    killed = [_doomed_process(daemon, session_ids) for _ in range(KILLED)]
    for process in killed:
        stack.callback(_bury, process)
        await _until_it_follows(process)
    return dying, killed


async def _stream_while_they_die(
    prompter: Client,
    followers: list[tuple[Client, list[Log]]],
    dying: list[Client],
    killed: list["subprocess.Popen[bytes]"],
    session_ids: list[str],
    chance: random.Random,
) -> None:
    """Prompt all sessions and follow them to their ends; all deaths fall into the first three quarters."""
    progress = _Progress()
    moments = iter(lambda: chance.randrange(SESSIONS * DELTAS * 3 // 4), None)
    async with anyio.create_task_group() as tasks:
        for client, logs in followers:
            tasks.start_soon(_follow_all, client, logs, progress)
        for client, at in zip(dying, moments, strict=False):
            tasks.start_soon(_die_unread, client, at, progress)
        for process, at in zip(killed, moments, strict=False):
            tasks.start_soon(_be_killed, process, at, progress)
        for number, name in enumerate(session_ids):
            await prompter.prompt(name, _script(number))


async def _status_without_the_dead(prompter: Client) -> dict[str, Any]:
    """Wait until the daemon has noticed all deaths: nothing is kept for a client that is gone."""
    while True:
        status = await prompter.call("daemon/status")
        if status["net"]["connections"] == 1 + STEADY and status["hub"]["subscribers"] == SESSIONS:
            return status


async def test_fifty_streams_are_whole_while_clients_die() -> None:
    chance = random.Random(50)
    with temporary_home() as home, anyio.fail_after(2 * WAIT_S), contextlib.ExitStack() as stack:
        async with running(home) as daemon, await daemon.connect() as prompter:
            session_ids = [await prompter.create_session(daemon.work) for _ in range(SESSIONS)]
            steady = [await daemon.connect(client_id=f"steady-{n}") for n in range(STEADY)]
            logs = [await steady[n % STEADY].subscribe(name) for n, name in enumerate(session_ids)]
            followers = [(client, logs[n::STEADY]) for n, client in enumerate(steady)]
            dying, killed = await _doomed(daemon, session_ids, chance, stack)
            await _stream_while_they_die(prompter, followers, dying, killed, session_ids, chance)

            for number, log in enumerate(logs):
                _check_stream(log, number)
                assert await prompter.read_log(log.session_id) == log.bodies
            journal = (await _status_without_the_dead(prompter))["journal"]
            assert journal["failures"] == 0
            print(f"{SESSIONS} sessions, {journal['committed']} events in {journal['transactions']} commits")
            for client in steady:
                client.close()
