"""Replay: a long log to one subscriber that starts at its beginning."""

from pathlib import Path

from benchmarks import load
from benchmarks.daemon import running, temporary_home
from benchmarks.floors import process
from benchmarks.load import Case
from benchmarks.pairs import Sample, Scale, alternate
from benchmarks.reader import Config
from benchmarks.readers import connected
from benchmarks.result import Row, Spec, rows
from benchmarks.wire import WAIT_S

NAME = "replay"
TITLE = "replay of a long log to one subscriber"

_EVENTS = (200_000, 1000)
_CAUGHT_UP = '"session/caughtUp"'
_PAGE_EVENTS = 512


def measure(scale: Scale) -> list[Row]:
    """Make the log once, then replay it by a fresh daemon and by the floor in turn."""
    with temporary_home() as home:
        count = scale.of(*_EVENTS)
        session_id, head = _make_log(home, count)
        pairs = alternate(
            scale.pairs,
            lambda: _replay(home, session_id, head),
            lambda: _floor(home, head),
        )
        floor_is = f"reading the rows in pages of {_PAGE_EVENTS}, a blocking `send` of each page"
        return rows(pairs, [Spec("cpu", f"{head:,} events, CPU an event", "us", floor_is, 3)])


def _make_log(home: Path, count: int) -> tuple[str, int]:
    """Give the session and its head."""
    text = load.script(Case("replay", 1, None, _EVENTS), count)
    with running(home) as daemon, daemon.connect() as wire:
        session_id = daemon.create_session(wire)
        content = [{"type": "text", "text": text}]
        run_id = wire.call("session/prompt", sessionId=session_id, content=content)["runId"]
        waited = wire.call("session/wait", sessionId=session_id, runId=run_id, timeoutMs=int(WAIT_S * 1000))
        if waited["status"] != "completed":
            raise RuntimeError(f"The run that makes the log ended as {waited['status']}.")
        head = int(wire.call("session/get", sessionId=session_id)["session"]["head"])
    return session_id, head


def _replay(home: Path, session_id: str, head: int) -> Sample:
    with running(home) as daemon, daemon.connect() as wire:
        wire.call("session/get", sessionId=session_id)  # Loads it: that is another figure.
        config = Config(
            path=daemon.socket,
            sockets=1,
            until=_CAUGHT_UP,
            token=daemon.token,
            session=session_id,
            after="start",
        )
        with connected(config, 1) as readers:
            before = daemon.cpu_ns
            readers.go()
            readers.wait()
            return {"cpu": (daemon.cpu_ns - before) / head / 1000}


def _floor(home: Path, head: int) -> Sample:
    path, database = str(home / "floor"), str(home / "state" / "journal.db")
    with (
        process.commanded("replay", path, database, str(_PAGE_EVENTS)) as floor,
        connected(Config(path=path, sockets=0, until=_CAUGHT_UP), 1) as readers,
    ):
        result = floor.go()
        readers.wait()
    assert result["events"] == head
    return {"cpu": result["cpu_ns"] / head / 1000}
