"""Between a commit and its hand-over to the loop nobody sees further than the head, nor misses what comes.

The writer thread is held after COMMIT: the log on disk is ahead of what the daemon knows. In that gap
clients subscribe, read, fetch and catch up.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import msgspec
import pytest
from core_world import Client, Core, core_running
from journal_world import Gate, TappedStore, limits, notice, open_sqlite
from memory_store import MemoryStore

from holdfast_daemon.config import Config, HubLimits
from holdfast_protocol import events
from holdfast_protocol.errors import CursorInvalid
from holdfast_protocol.view import Snapshot, fold

HEAD = 12
"""The head while the gap is open; on disk the log goes on to HEAD + 3."""


class Gap(NamedTuple):
    """A daemon in the gap: three events are on disk and handed to nobody."""

    core: Core
    store: TappedStore
    gate: Gate
    early: Client

    async def end(self) -> None:
        self.gate.open()
        await self.core.journal.flushed(self.core.live().log)
        assert self.core.live().log.head == HEAD + 3


STORES = pytest.mark.parametrize("kind", ["memory", "sqlite"])


def config(ring_bytes_max: int) -> Config:
    hub = HubLimits(ring_bytes_max=ring_bytes_max, page_events_max=4)
    return Config(state_dir="/", journal=limits(), hub=hub)


@asynccontextmanager
async def gap(tmp_path: Path, kind: str, *, ring_bytes_max: int = 256 * 1024) -> AsyncIterator[Gap]:
    store = TappedStore(MemoryStore() if kind == "memory" else open_sqlite(tmp_path))
    gate = Gate()
    async with core_running(store, config=config(ring_bytes_max)) as core:
        early = core.client("early")
        await early.create()
        log = core.live().log
        for number in range(2, HEAD + 1):
            await core.journal.commit(log, notice(str(number)))
        await early.follow(after="head")
        gate.close()
        store.after = gate
        core.journal.emit_nowait(log, *(notice(f"in the gap {number}") for number in range(3)))
        await gate.reached()
        row = store.inner.find_session("s")
        assert (log.head, row.head) == (HEAD, HEAD + 3)
        try:
            yield Gap(core, store, gate, early)
        finally:
            gate.open()


@STORES
@pytest.mark.parametrize("ring", [0, 500, 256 * 1024])
@pytest.mark.parametrize("after", ["head", "start", 0, 5, HEAD - 1, HEAD])
async def test_who_subscribes_in_the_gap_sees_the_head_and_then_each_event_once(
    tmp_path: Path, kind: str, ring: int, after: Any
) -> None:
    async with gap(tmp_path, kind, ring_bytes_max=ring) as here:
        client = here.core.client("late")
        answer = await client.call("session/subscribe", sessionId="s", after=after)
        first = HEAD + 1 if after == "head" else 1 if after == "start" else after + 1
        assert (answer["head"], answer["from"]) == (HEAD, first)
        follower = client.outlet.followers["s"]
        await client.outlet.until(lambda: follower.caught_up == [HEAD])
        assert follower.seqs == list(range(first, HEAD + 1))
        await here.end()
        await client.outlet.until(lambda: follower.cursor == HEAD + 3)
        assert follower.seqs == list(range(first, HEAD + 4))
        assert here.early.outlet.followers["s"].seqs == [HEAD + 1, HEAD + 2, HEAD + 3]


@STORES
async def test_a_cursor_on_disk_but_not_published_is_beyond_the_head(tmp_path: Path, kind: str) -> None:
    async with gap(tmp_path, kind) as here:
        client = here.core.client("late")
        for after in (HEAD + 1, HEAD + 3):
            with pytest.raises(CursorInvalid) as caught:
                await client.call("session/subscribe", sessionId="s", after=after)
            assert caught.value.data.head == HEAD
        with pytest.raises(CursorInvalid):
            await client.call("session/read", sessionId="s", after=HEAD + 1)
        with pytest.raises(CursorInvalid):
            await client.call("session/export", sessionId="s", after=HEAD + 1)
        await here.end()
        await client.call("session/subscribe", sessionId="s", after=HEAD + 3)


@STORES
async def test_reads_in_the_gap_end_at_the_head(tmp_path: Path, kind: str) -> None:
    async with gap(tmp_path, kind) as here:
        client = here.core.client("late")
        forward = await client.call("session/read", sessionId="s", after=HEAD - 2, limit=100)
        assert ([event["seq"] for event in forward["events"]], forward["to"]) == ([HEAD - 1, HEAD], HEAD)
        assert (forward["head"], forward["more"]) == (HEAD, False)
        backward = await client.call("session/read", sessionId="s", before=HEAD + 1, limit=2)
        assert [event["seq"] for event in backward["events"]] == [HEAD - 1, HEAD]
        typed = await client.call("session/read", sessionId="s", after=0, types=["notice"], limit=1000)
        assert typed["events"][-1]["seq"] == typed["to"] == HEAD
        exported = await client.call("session/export", sessionId="s")
        assert exported["head"] == HEAD
        assert len(exported["lines"]) == HEAD + 1


@STORES
async def test_the_snapshot_in_the_gap_is_of_the_head_and_can_be_folded_on(tmp_path: Path, kind: str) -> None:
    async with gap(tmp_path, kind) as here:
        client = here.core.client("late")
        answer = await client.call("session/subscribe", sessionId="s", after="head")
        fetched = await client.call("session/get", sessionId="s")
        assert answer["snapshot"]["head"] == fetched["snapshot"]["head"] == HEAD
        assert fetched["session"]["head"] == HEAD
        snapshot = msgspec.convert(answer["snapshot"], Snapshot)
        log = await here.core.log()
        assert len(log) == HEAD + 3
        assert snapshot == fold(None, log[:HEAD])
        await here.end()
        await client.outlet.until(lambda: client.outlet.followers["s"].cursor == HEAD + 3)
        assert fold(snapshot, log[HEAD:]) == fold(None, log)


@STORES
async def test_a_slow_client_resumed_in_the_gap_catches_up_to_the_head(tmp_path: Path, kind: str) -> None:
    async with gap(tmp_path, kind, ring_bytes_max=0) as here:
        client = here.core.client("late")
        client.outlet.paused = True
        follower = await client.follow(after=3)
        await anyio.wait_all_tasks_blocked()
        assert follower.seqs == []
        client.outlet.read()
        here.core.hub.resume(client.outlet)
        await client.outlet.until(lambda: follower.caught_up == [HEAD])
        assert follower.seqs == list(range(4, HEAD + 1))
        await here.end()
        assert follower.seqs == list(range(4, HEAD + 4))


@STORES
async def test_a_page_read_while_the_gap_closes_is_followed_by_the_rest(tmp_path: Path, kind: str) -> None:
    """The page was asked for up to the old head; the events of the gap are handed over before it arrives."""
    async with gap(tmp_path, kind, ring_bytes_max=0) as here:
        reading = Gate()
        reading.close()
        real = here.store.inner.read_bodies

        def read(*args: Any, **options: Any) -> Any:
            page = real(*args, **options)
            reading()
            return page

        here.store.inner.read_bodies = read
        client = here.core.client("late")
        follower = await client.follow(after="start")
        await reading.reached()
        await here.end()
        reading.open()
        await client.outlet.until(lambda: bool(follower.caught_up))
        assert follower.seqs == list(range(1, HEAD + 4))


@STORES
async def test_a_session_forked_in_the_gap_begins_with_what_was_published(tmp_path: Path, kind: str) -> None:
    """Its first events wait for the writer; it ends where the head was when it was asked for, or is now."""
    async with gap(tmp_path, kind) as here:
        client = here.core.client("late")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client.call("session/fork", sessionId="s", newSessionId="f"))
            await anyio.wait_all_tasks_blocked()
            await here.end()
        source, forked = await here.core.log("s"), await here.core.log("f")
        last = forked[-1]
        assert isinstance(last, events.SessionUpdated)
        assert last.forked_from is not None
        assert last.forked_from.seq == len(forked) - 1
        assert last.forked_from.seq in (HEAD, HEAD + 3)
        assert forked[:-1] == source[: len(forked) - 1]
