"""A cancel is heard past any backlog: of events its own client does not read, and of calls before it (P4)."""

import anyio
from daemon_process import WAIT_S, Daemon, running, temporary_home
from wire_client import Client, Log

ROUNDS = 50

CALLS_BEFORE = 1000

BACKLOG_BYTES = 10 * 1024 * 1024

CANCEL_ID = 1_000_000

STALLED_BYTES = 64 * 1024
"""So much lies in the kernel's buffer at the least, when it is full."""

# 42 blocks of 128,000 characters, as deltas of 16 KiB and once more in the blocks' ends: over 10 MiB.
BACKLOG = "script:\n  -\n" + 42 * f"    - text: {{value: {'x' * 500}, repeat: 256}}\n"

HANG = "script:\n  - text: {value: I wait., end: false}\n    hang: true\n"


async def _backlog(daemon: Daemon, client: Client) -> str:
    """Make a session with the backlog in its log."""
    session_id = await client.create_session(daemon.work)
    started = await client.prompt(session_id, BACKLOG)
    waited = await client.call("session/wait", sessionId=session_id, runId=started["runId"])
    assert waited["status"] == "completed"
    return session_id


async def _until_it_stalls(canceller: Client, observer: Client) -> None:
    """Wait until the kernel takes no more events for a reader that does not read."""
    waiting = -1
    while (before := waiting) < STALLED_BYTES or waiting > before:
        await observer.call("ping")
        waiting = canceller.unread_bytes()


def _calls(client: Client, session_id: str) -> bytes:
    """Give calls that are served in turn, wait, or are refused because so many are in flight."""
    bodies = [
        client.encode(number, "session/wait", sessionId=session_id, runId="r1", timeoutMs=600_000)
        if number % 2
        else client.encode(number, "session/read", sessionId=session_id, limit=1)
        for number in range(10_000, 10_000 + CALLS_BEFORE)
    ]
    return b"".join(client.frame(body) for body in bodies)


async def _cancel_past_backlog(daemon: Daemon, observer: Client, log: Log, run_id: str) -> float:
    """Cancel over a connection whose events lie unread.

    Returns:
        The seconds from the cancel's being written to the observer's seeing the run's end.
    """
    session_id = log.session_id
    async with await daemon.connect(client_id="canceller") as canceller:
        await canceller.send("session/subscribe", sessionId=session_id, after="start")
        await _until_it_stalls(canceller, observer)
        head = log.cursor
        cancel = canceller.encode(CANCEL_ID, "session/cancel", sessionId=session_id, runId=run_id)
        await canceller.write(_calls(canceller, session_id))
        written_at = anyio.current_time()
        await canceller.write(canceller.frame(cancel))
        await observer.read_to_event(log, run_id, {"run_cancelled"})
        took_s = anyio.current_time() - written_at

        # Nothing was read until here. The answer comes before most of the events that lie there.
        backlog = Log(session_id, log.epoch)
        canceller.logs[session_id] = backlog
        assert await canceller.answer(CANCEL_ID) == {"cancelled": True, "runId": run_id}
        assert 0 < backlog.cursor < head // 4
        return took_s


async def test_a_cancel_overtakes_unread_events_and_calls_before_it() -> None:
    with temporary_home() as home, anyio.fail_after(3 * WAIT_S):
        async with running(home) as daemon, await daemon.connect(client_id="observer") as observer:
            session_id = await _backlog(daemon, observer)
            head = (await observer.call("session/get", sessionId=session_id))["session"]["head"]
            sizes = [len(body) for body in await observer.read_log(session_id)]
            assert sum(sizes) >= BACKLOG_BYTES
            log = await observer.subscribe(session_id, head)
            took: list[float] = []
            for _ in range(ROUNDS):
                run_id = (await observer.prompt(session_id, HANG))["runId"]
                await observer.read_to_event(log, run_id, {"token_delta"})
                took.append(await _cancel_past_backlog(daemon, observer, log, run_id))
            took.sort()
            print(
                f"cancel past {sum(sizes) / 2**20:.1f} MiB unread and {CALLS_BEFORE} calls, {ROUNDS} rounds:"
                f" p50 {took[ROUNDS // 2] * 1000:.1f} ms, p99 {took[-1] * 1000:.1f} ms (the longest)"
            )
            assert log.types()[-1] == "run_cancelled"
            assert log.types().count("run_cancelled") == ROUNDS


async def test_a_cancel_is_answered_before_calls_that_were_read_with_it_and_wait_for_the_disk() -> None:
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        async with running(home) as daemon, await daemon.connect() as client:
            session_id = await client.create_session(daemon.work)
            run_id = (await client.prompt(session_id, HANG))["runId"]
            calls = [
                client.encode(number, "session/read", sessionId=session_id) for number in range(100, 110)
            ]
            cancel = client.encode(CANCEL_ID, "session/cancel", sessionId=session_id)
            await client.write(b"".join(map(client.frame, [*calls, cancel])))
            answered: list[object] = []
            while len(answered) < 11:
                message = await client.next_message()
                if message.method is None:
                    answered.append(message.id)
            assert answered[0] == CANCEL_ID
            waited = await client.call("session/wait", sessionId=session_id, runId=run_id)
            assert waited["status"] == "cancelled"
