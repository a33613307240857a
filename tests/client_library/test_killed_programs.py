"""A program that is killed again and again goes on where it was: what it got, it got once."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from library_world import TERMINAL, load, locations

from fakes.daemons import Home, ProcessDaemon
from holdfast_client import blocking
from holdfast_protocol import events

pytestmark = pytest.mark.timeout(180)

KILLS = 100

PROGRAM = Path(__file__).parent / "killed_reader.py"


class Reader:
    """A program that follows a session, and what it got before it was killed, over all its lives.

    Attributes:
        seqs: of the events it got.
        kinds: of the same.
        ends: the exit status of each life.
    """

    def __init__(self, process: subprocess.Popen[str], epoch: str) -> None:
        self.seqs: list[int] = []
        self.kinds: list[str] = []
        self.ends: list[int] = []
        self._process = process
        self._epoch = epoch

    def live(self) -> int:
        """Begin a life, from the last event of the one before; give its process."""
        cursor = self.seqs[-1] if self.seqs else 0
        self._process.stdin.write(f"{cursor} {self._epoch}\n")
        self._process.stdin.flush()
        name, pid = self._process.stdout.readline().split()
        assert name == "pid"
        return int(pid)

    def read(self) -> bool:
        """Take an event, or the end of the life: then give False."""
        first, second, *rest = self._process.stdout.readline().split()
        if first == "ended":
            self.ends.append(int(second))
            return False
        assert rest == [self._epoch]
        self.seqs.append(int(first))
        self.kinds.append(second)
        return True

    def live_and_die(self, events_min: int) -> None:
        """Live until so many events, and then be killed, whatever it is doing."""
        pid = self.live()
        for _ in range(events_min):
            assert self.read()
        os.kill(pid, signal.SIGKILL)
        while self.read():
            pass


@contextmanager
def reading(library: str, home: Home, session: blocking.Session) -> Iterator[Reader]:
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), library, str(home.runtime), session.id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert session.epoch is not None
        yield Reader(process, session.epoch)


@pytest.mark.parametrize("library", ["async", "blocking"])
def test_a_program_that_is_killed_100_times_in_one_run_gets_each_event_once(home: Home, library: str):
    draw = random.Random(3)
    with ProcessDaemon(home) as daemon:
        anyio.run(daemon.start)
        with blocking.connect("attach", locations=locations(home), autostart=False) as client:
            session = client.create_session(str(home.work))
            run = session.prompt(load(1_000_000, 1500))
            with reading(library, home, session) as reader:
                for _ in range(KILLS):
                    reader.live_and_die(draw.randrange(60))
                assert session.get().snapshot.run.run_id == run.run_id  # It is still the same one.
                last = reader.live()
                session.cancel()
                while reader.read() and reader.kinds[-1] not in TERMINAL:
                    pass
                os.kill(last, signal.SIGKILL)
                assert not reader.read()
            log = [(event.seq, events.type_of(event)) for event in whole_log(session)]
    assert reader.ends == [-signal.SIGKILL] * (KILLS + 1)
    assert list(zip(reader.seqs, reader.kinds, strict=True)) == log
    assert reader.seqs == list(range(1, len(log) + 1))


def whole_log(session: blocking.Session) -> Iterator[events.Event]:
    after = 0
    while page := session.read(after):
        yield from page
        after = page[-1].seq
