"""A log with an event nobody can read: a damaged record must not take the daemon down (failures, D8)."""

import logging

import pytest
from core_world import core_running
from memory_store import MemoryStore

from holdfast_daemon.journal.store import Append, EventRow, Upsert
from holdfast_protocol.errors import StorageUnavailable


async def test_one_unreadable_event_costs_its_session_and_not_the_daemon(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore()
    async with core_running(store) as core:
        client = core.client()
        await client.create("damaged")
        await client.create("whole")
    again = store
    row = again.find_session("damaged")
    assert row is not None
    body = b'{"seq":2,"at":1,"type":"run_started","runId":"r1","promptId":7}'
    unfinished = Upsert("runs", "r1", (("seq_start", 2), ("status", "running")))
    again.append([Append(row.key, [EventRow(2, "run_started", "r1", 1, body)], [unfinished])])

    with caplog.at_level(logging.CRITICAL, "holdfast_daemon"):
        async with core_running(again) as core:
            client = core.client()
            with pytest.raises(StorageUnavailable, match="Event 2"):
                await client.call("session/get", sessionId="damaged")
            assert (await client.call("session/get", sessionId="whole"))["session"]["head"] == 1
