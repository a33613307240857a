"""A reader that stops costs nobody anything, and loses nothing (P3)."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import anyio
from daemon_process import WAIT_S, Daemon, running, temporary_home
from wire_client import Client, decode_batch

RATE = 20_000
STOPPED_S = 5
EVENTS = RATE * (STOPPED_S + 2)  # It stops after the first second's worth, and resumes before the last one's.
READERS = 9
BLOCKS = 16

SCRIPT = (
    f"script:\n  - interleave: {{blocks: {BLOCKS}, count: {EVENTS}, per_second: {RATE}, text: 'tick '}}\n"
)

WARM_UP = f"script:\n  - interleave: {{blocks: {BLOCKS}, count: {2 * RATE}, text: 'tick '}}\n"

RSS_GROWTH_BYTES_MAX = 32 * 1024 * 1024

BEHIND_MAX = RATE
"""A second's worth: far more than what is on its way, far less than what the stopped one misses."""

LOOKS = 20  # At the daemon's memory, while the reader is stopped.

_SEQ = re.compile(rb'\{"seq":([0-9]+),')


class Reader:
    """Reads a session to the end of a run and keeps a digest: 17 MB each would be the test's own load."""

    def __init__(self, client: Client, session_id: str, cursor: int) -> None:
        self.client = client
        self.cursor = cursor
        self.digest = hashlib.sha256()
        self.ended = False
        self.lagged = 0
        self._session_id = session_id
        self._moved = anyio.Event()

    async def reached(self, seq: int) -> None:
        """Wait until the cursor is there."""
        while self.cursor < seq:
            await self._moved.wait()

    async def read_batch(self) -> None:
        message = await self.client.next_message()
        if message.method == "session/lagged":
            self.lagged += 1
        if message.method != "session/events":
            return
        batch = decode_batch(message)
        assert batch.session_id == self._session_id
        assert batch.first == self.cursor + 1, "a gap or a duplicate"
        for seq, body in enumerate(batch.events, batch.first):
            found = _SEQ.match(body)
            assert found is not None
            assert int(found[1]) == seq
            self.digest.update(body)
        assert len(batch.events) == batch.last - batch.first + 1
        self.cursor = batch.last
        self._moved.set()
        self._moved = anyio.Event()
        self.ended = b'"type":"run_completed"' in bytes(batch.events[-1])

    async def read_to_the_end(self) -> None:
        while not self.ended:
            await self.read_batch()


async def _readers(daemon: Daemon, session_id: str, cursor: int, count: int) -> list[Reader]:
    readers: list[Reader] = []
    for _ in range(count):
        client = await daemon.connect()
        await client.call("session/subscribe", sessionId=session_id, after=cursor)
        readers.append(Reader(client, session_id, cursor))
    return readers


async def _warm_up(client: Client, session_id: str) -> int:
    """Fill the caches that stay filled; give the head."""
    started = await client.prompt(session_id, WARM_UP)
    waited = await client.call("session/wait", sessionId=session_id, runId=started["runId"])
    assert waited["status"] == "completed"
    return waited["seq"]


def _busy_s(daemon: Daemon) -> float:
    """Give the processor time the daemon has used."""
    fields = Path(f"/proc/{daemon.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _status(client: Client) -> dict[str, Any]:
    return await client.call("daemon/status")


def _print_figures(committed: int, took_s: float, busy_s: float) -> None:
    print(f"{committed} events in {took_s:.2f} s: {committed / took_s:.0f}/s (asked for {RATE})")
    print(f"daemon busy {busy_s:.2f} s: {committed / busy_s:.0f} events per busy second")


async def test_a_stopped_reader_delays_nobody_and_gets_everything_afterwards() -> None:
    with temporary_home() as home, anyio.fail_after(3 * WAIT_S):
        async with running(home) as daemon, await daemon.connect() as prompter:
            session_id = await prompter.create_session(daemon.work)
            head = await _warm_up(prompter, session_id)
            stopped, *others = await _readers(daemon, session_id, head, 1 + READERS)
            rss_before, before, busy_s = daemon.rss_bytes(), await _status(prompter), _busy_s(daemon)
            rss_most = rss_before

            began = anyio.current_time()
            async with anyio.create_task_group() as tasks:
                for reader in others:
                    tasks.start_soon(reader.read_to_the_end)
                await prompter.prompt(session_id, SCRIPT)
                while stopped.cursor < head + RATE:
                    await stopped.read_batch()
                # From here on it reads nothing, until the others are five seconds' worth further on.
                stopped_at = stopped.cursor
                for look in range(1, LOOKS + 1):
                    for reader in others:
                        await reader.reached(stopped_at + STOPPED_S * RATE * look // LOOKS)
                    rss_most = max(rss_most, daemon.rss_bytes())
                now = (await _status(prompter))["journal"]["committed"]
                published = head + now - before["journal"]["committed"]
                cursors = [reader.cursor for reader in others]
                assert (await _status(prompter))["hub"]["lagging"] >= 1
                tasks.start_soon(stopped.read_to_the_end)
            took_s = anyio.current_time() - began

            assert published - min(cursors) <= BEHIND_MAX
            for reader in (stopped, *others):
                assert reader.cursor == stopped.cursor
                assert reader.digest.digest() == stopped.digest.digest()
            assert stopped.lagged >= 1
            rss_most = max(rss_most, daemon.rss_bytes())
            assert rss_most - rss_before <= RSS_GROWTH_BYTES_MAX

            after = await _status(prompter)
            committed = after["journal"]["committed"] - before["journal"]["committed"]
            assert after["journal"]["merged"] == before["journal"]["merged"], "each delta is one stored event"
            assert committed >= EVENTS
            _print_figures(committed, took_s, _busy_s(daemon) - busy_s)
            print(
                f"behind when the stopped one resumed: others {published - max(cursors)} to"
                f" {published - min(cursors)} events, the stopped one {published - stopped_at};"
                f" RSS {rss_before >> 20} MiB, at most +{(rss_most - rss_before) / 2**20:.1f} MiB"
            )
            for reader in (stopped, *others):
                reader.client.close()


async def test_a_reader_that_never_reads_changes_nothing_for_the_log() -> None:
    """Invariant 13: it is subscribed from the start, never reads a byte, and the log is whole."""
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        async with running(home) as daemon, await daemon.connect() as prompter:
            session_id = await prompter.create_session(daemon.work)
            silent = await daemon.connect()
            await silent.send("session/subscribe", sessionId=session_id, after="start")
            await _warm_up(prompter, session_id)
            bodies = await prompter.read_log(session_id)
            assert json.loads(bodies[-1])["type"] == "run_completed"
            assert sum(b'"token_delta"' in body for body in bodies) == 2 * RATE
            assert (await _status(prompter))["hub"]["lagging"] == 1
            silent.close()
