"""A private daemon as a child (users.md E2, E3: it dies with its parent; design 4, sidecar)."""

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from library_world import HANG, WAIT_S, load

from fakes.daemons import Home, ProcessDaemon
from holdfast_client import aio
from holdfast_client.errors import DaemonUnreachable
from holdfast_protocol import events

pytestmark = pytest.mark.timeout(120)


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; one that nobody has waited for yet has."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


async def test_a_sidecar_serves_its_parent_and_ends_with_the_block(home: Home):
    async with aio.connect("spawn", state=home.state) as client:
        pid = client.server.server.pid
        assert (await client.status()).endpoints == ("stdio",)
        result = await client.run("say hello", cwd=str(home.work))
        assert result.text.endswith("hello")
    assert is_gone(pid)


async def test_the_state_of_a_sidecar_is_there_the_next_time(home: Home):
    async with aio.connect("spawn", state=home.state) as client:
        session = await client.create_session(str(home.work), title="kept")
    async with aio.connect("spawn", state=home.state) as client:
        assert (await client.session(session.id).get()).session.title == "kept"


async def test_without_a_directory_the_state_goes_with_the_sidecar(home: Home, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(home.path))
    monkeypatch.setattr("tempfile.tempdir", None)
    async with aio.connect("spawn") as client:
        await client.create_session(str(home.work))
        assert list(home.path.glob("holdfast-*/journal.db"))
    assert not list(home.path.glob("holdfast-*"))


async def test_leaving_interrupts_what_runs_and_writes_that_down(home: Home):
    async with aio.connect("spawn", state=home.state) as client:
        session = await client.create_session(str(home.work))
        await session.prompt(HANG)
    async with aio.connect("spawn", state=home.state) as client:
        last = (await client.session(session.id).read())[-1]
        assert isinstance(last, events.RunInterrupted)


async def test_a_sidecar_that_is_killed_is_replaced_and_the_stream_goes_on(home: Home):
    async with aio.connect("spawn", state=home.state) as client:
        session = await client.create_session(str(home.work))
        seqs, pid = [], client.server.server.pid
        await session.prompt(load(1_000_000, 10_000))
        with anyio.fail_after(WAIT_S * 2):
            async for event in session.events():
                seqs.append(event.seq)
                if event.seq == 500:
                    os.kill(pid, signal.SIGKILL)
                if isinstance(event, events.Terminal):
                    break
        assert seqs == list(range(1, seqs[-1] + 1))
        assert isinstance(event, events.RunInterrupted)
        assert client.server.server.pid != pid
        assert (await session.continue_()).run_id
        await session.cancel()


PARENT = """
import sys
import anyio
from holdfast_client import aio

async def main():
    async with aio.connect("spawn", state=sys.argv[1]) as client:
        print(client.server.server.pid, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_sidecar_dies_with_its_parent_however_that_ends(home: Home, number: signal.Signals):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(home.state)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        pid = int(parent.stdout.readline())
        ended = os.pidfd_open(pid)
        try:
            parent.send_signal(number)
            parent.wait(WAIT_S)
            readable, _, _ = select.select([ended], [], [], WAIT_S)
            assert readable, "the sidecar outlived its parent"
        finally:
            os.close(ended)


async def test_a_state_directory_that_is_in_use_is_told_with_the_daemons_own_words(home: Home):
    with ProcessDaemon(home) as daemon:
        await daemon.start()
        with pytest.raises(DaemonUnreachable) as caught:
            async with aio.connect("spawn", state=home.state):
                pytest.fail("two daemons on one state directory")
        assert str(daemon.pid) in str(caught.value)
        assert "holdfastd:" in str(caught.value)


async def test_a_program_that_does_not_exist_is_told(home: Home):
    with pytest.raises(DaemonUnreachable, match="no-such-program"):
        async with aio.connect("spawn", state=home.state, daemon="/no-such-program"):
            pytest.fail("it started")


async def test_a_program_that_is_no_daemon_is_told(home: Home):
    with pytest.raises(DaemonUnreachable, match="status"):
        async with aio.connect("spawn", state=home.state, daemon="/bin/false"):
            pytest.fail("it started")


async def test_what_the_sidecar_writes_to_its_stderr_does_not_stop_it(home: Home):
    noisy = home.path / "noisy"
    noisy.write_text(
        "#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' x >&2\n"
        f'exec {Path(sys.executable).with_name("holdfastd")} "$@"\n'
    )
    noisy.chmod(0o700)
    async with aio.connect("spawn", state=home.state, daemon=str(noisy)) as client:
        assert (await client.run("say hello", cwd=str(home.work))).ok
