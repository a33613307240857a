"""SIGKILL at random moments, restart on the same state, resume with the old cursor (P1, P2, P5).

Whatever a client saw must be there again, byte for byte, and the log must be one in which every run, every
block and every call has its one end.

HOLDFAST_CRASH_ROUNDS says how many rounds in all; they are shared out among parts that can run side by side.
"""

import contextlib
import os
import random
from collections import Counter
from pathlib import Path

import anyio
import pytest
from daemon_process import WAIT_S, Daemon, running, spawn, start, temporary_home
from log_rules import check_log
from wire_client import TERMINAL, Client, ConnectionClosed
from witness import Witness

ROUNDS = int(os.environ.get("HOLDFAST_CRASH_ROUNDS", "200"))
PARTS = 8
SESSIONS = 3


async def _resume(client: Client, witnesses: list[Witness]) -> None:
    for witness in witnesses:
        await witness.subscribe(client)
    await client.read_until(lambda: all(witness.log.caught_up for witness in witnesses))
    for witness in witnesses:
        witness.check()


async def _act_and_die(
    daemon: Daemon, client: Client, witnesses: list[Witness], chance: random.Random, tally: Counter[str]
) -> None:
    """Let the sessions run, and kill the daemon while they do."""

    def seen() -> int:
        return sum(witness.log.cursor for witness in witnesses)

    try:
        async with anyio.create_task_group() as tasks:
            if chance.random() < 0.2:  # Among the prompts, answered or not.
                tasks.start_soon(_kill_after, daemon, chance.uniform(0, 0.015))
            for witness in witnesses:
                await witness.act(client, tally)
            goal = seen() + chance.randrange(1, 300)
            await client.read_until(
                lambda: seen() >= goal or not any(witness.running for witness in witnesses)
            )
            daemon.process.kill()
    except* ConnectionClosed:
        tally["killed while admitting"] += 1
    await daemon.ended()
    with contextlib.suppress(ConnectionClosed):  # What it sent before it died, a client may have seen too.
        await client.read_until(lambda: False)


async def _kill_after(daemon: Daemon, seconds: float) -> None:
    await anyio.sleep(seconds)  # Not a wait for anything: the random moment itself.
    daemon.process.kill()


async def _die_in_recovery(home: Path, chance: random.Random) -> None:
    """Kill a daemon somewhere in its start; whether it had begun to serve is left to chance."""
    daemon = spawn(home)
    await _kill_after(daemon, chance.uniform(0.02, 0.2))
    await daemon.ended()


async def _round(home: Path, witnesses: list[Witness], chance: random.Random, tally: Counter[str]) -> None:
    if chance.random() < 0.15:
        tally["killed while starting"] += 1
        await _die_in_recovery(home, chance)
        return
    daemon = await start(home)
    try:
        async with await daemon.connect(client_id="witness") as client:
            await _resume(client, witnesses)
            await _act_and_die(daemon, client, witnesses, chance, tally)
    finally:
        await daemon.kill()


async def _begin(home: Path, chance: random.Random) -> list[Witness]:
    async with running(home) as daemon, await daemon.connect() as client:
        (daemon.work / "one.txt").write_text("one\n", encoding="utf-8")
        session_ids = [await client.create_session(daemon.work) for _ in range(SESSIONS)]
        return [Witness(await client.subscribe(session_id), chance) for session_id in session_ids]


async def _finish(home: Path, witnesses: list[Witness], tally: Counter[str]) -> None:
    """Bring every session to rest, and compare all that was ever seen with a replay from the start."""
    async with running(home) as daemon, await daemon.connect(client_id="witness") as client:
        await _resume(client, witnesses)
        for witness in witnesses:
            session_id = witness.session_id
            await client.call("session/cancel", sessionId=session_id, clearQueue=True)
            await client.read_until(lambda witness=witness: not witness.running)
            if witness.last == "run_interrupted":
                run_id = await witness.continue_run(client)
                await client.call("session/cancel", sessionId=session_id, runId=run_id)
                await client.call("session/wait", sessionId=session_id, runId=run_id)
            result = await client.prompt(session_id, "say I am back")
            ended = await client.call("session/wait", sessionId=session_id, promptId=result["promptId"])
            assert ended["status"] == "completed"
            await client.read_until(lambda seq=ended["seq"], log=witness.log: log.cursor >= seq)
        for witness in witnesses:
            await _compare(client, witness, tally)


async def _compare(client: Client, witness: Witness, tally: Counter[str]) -> None:
    witness.look()
    assert await client.read_log(witness.session_id) == witness.log.bodies
    check_log(witness.events)
    tally["events"] += len(witness.events)
    tally.update(event["type"] for event in witness.events if event["type"] in TERMINAL)
    tally["partial blocks"] += sum(bool(event.get("partial")) for event in witness.events)


def _share(part: int) -> int:
    return ROUNDS // PARTS + (part < ROUNDS % PARTS)


@pytest.mark.parametrize("part", range(PARTS))
async def test_nothing_seen_is_lost_or_changed_when_the_daemon_is_killed(part: int) -> None:
    chance = random.Random(part)
    tally: Counter[str] = Counter()
    with temporary_home() as home:
        with anyio.fail_after(WAIT_S):
            witnesses = await _begin(home, chance)
        for _ in range(_share(part)):
            with anyio.fail_after(WAIT_S):
                await _round(home, witnesses, chance, tally)
        with anyio.fail_after(WAIT_S):
            await _finish(home, witnesses, tally)
    assert tally["run_interrupted"], "no run was under way when the daemon died"
    print(f"part {part}: {_share(part)} rounds, {dict(sorted(tally.items()))}")
