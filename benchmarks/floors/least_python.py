"""Numbers, encodes, stores, folds and sends recorded events: the least Python that keeps the promises.

`python -m benchmarks.floors.least_python SOCKET RECORDING SUBSCRIBERS paced|unpaced`

For each event what cannot be left out: it is made, queued, numbered and encoded on the loop, stored by a
second thread while the loop is free, and after the sync folded and kept; the frame is joined and sent once.
There is nothing else: no tasks, no merging, no limits, no cursors, no faults, one session.
"""

import asyncio
import contextlib
import json
import queue
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec

from benchmarks.floors.fan_out import make_log, recorded_parts
from benchmarks.floors.sockets import accept, listen
from holdfast_protocol import events

_TRANSACTION_EVENTS_MAX = 1000

_QUEUED_MAX = 6000
"""About what the daemon takes in before it makes an emitter wait."""

_encode = msgspec.json.Encoder().encode

Emission = tuple[type[Any], dict[str, Any]]
"""A type of event and its fields, as whoever emits it has them."""


class Log:
    """One session's events on their way from `emit` to the sockets."""

    def __init__(self, database: apsw.Connection, sockets: list[socket.socket]) -> None:
        self._database = database
        self._sockets = sockets
        self._loop = asyncio.get_running_loop()
        self._calls: queue.SimpleQueue[list[tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write)
        self._busy = False
        self._texts: dict[str, list[str]] = {}
        self._ring: list[tuple[Any, ...]] = []
        self._taken: list[Any] = []  # The transaction under way …
        self._rows: list[tuple[Any, ...]] = []  # … and its rows.
        self._settled = asyncio.Event()
        self.waiting: list[Any] = []
        self.head = 0

    async def emit(self, kind: type[Any], /, **fields: Any) -> None:
        """Queue an event."""
        self.waiting.append(kind(**fields))
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._take)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Run the thread that writes."""
        self._thread.start()
        yield
        self._calls.put(None)
        self._thread.join()

    async def settled(self, queued_max: int) -> None:
        """Wait until no more than so many events are queued."""
        while len(self.waiting) + len(self._taken) > queued_max:
            self._settled.clear()
            await self._settled.wait()

    def _take(self) -> None:
        """Number and encode; hand the rows to the thread."""
        taken = self._taken = self.waiting[:_TRANSACTION_EVENTS_MAX]
        del self.waiting[:_TRANSACTION_EVENTS_MAX]
        seq, at = self.head, int(time.time() * 1000)
        rows: list[tuple[Any, ...]] = []
        for event in taken:
            seq += 1
            placed = msgspec.structs.replace(event, seq=seq, at=at)
            rows.append((1, seq, placed.__struct_config__.tag, placed.run_id, at, _encode(placed)))
        self._rows = rows
        self._calls.put(rows)

    def _write(self) -> None:
        database = self._database
        while (rows := self._calls.get()) is not None:
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO events VALUES (?,?,?,?,?,?)", rows)
            database.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        """Fold, keep and send what is on disk now; go on with what was queued meanwhile."""
        texts = self._texts
        for event in self._taken:
            if isinstance(event, events.TokenDelta):
                texts.setdefault(event.block_id, []).append(event.text)
        rows, self._taken = self._rows, []
        first, self.head = self.head + 1, self.head + len(rows)
        self._ring.extend(rows)
        del self._ring[:-_TRANSACTION_EVENTS_MAX]
        frame = (
            b'{"jsonrpc":"2.0","method":"session/events","params":{"from":%d,"to":%d,"events":[%b]}}\n'
            % (
                first,
                self.head,
                b",".join([row[5] for row in rows]),
            )
        )
        for sock in self._sockets:
            sock.sendall(frame)
        self._settled.set()
        if self.waiting:
            self._take()
        else:
            self._busy = False


def main(path: str, recording: Path, subscribers: int, *, paced: bool) -> None:
    """Emit what was recorded; print what it took."""
    recorded = [rows for _, rows in recorded_parts(recording)]
    parts = [[emission(body) for *_, body in rows] for rows in recorded]
    times = [rows[0][4] for rows in recorded]
    listener = listen(path)
    with tempfile.TemporaryDirectory(prefix="hf") as directory:
        database = make_log(Path(directory))
        sockets = accept(listener, subscribers)
        cpu_ns = asyncio.run(_run(database, sockets, parts, times if paced else None))
        database.close()
    count = sum(map(len, parts))
    print(json.dumps({"cpu_ns": cpu_ns, "events": count}), flush=True)


async def _run(
    database: apsw.Connection,
    sockets: list[socket.socket],
    parts: list[list[Emission]],
    times: list[int] | None,
) -> int:
    """Emit as the recording did; give the processor time it took."""
    log = Log(database, sockets)
    began = time.monotonic()
    before = time.process_time_ns()
    with log.writing():
        for number, part in enumerate(parts):
            if times is not None:
                await asyncio.sleep(max(0.0, began + (times[number] - times[0]) / 1000 - time.monotonic()))
            for kind, fields in part:
                await log.emit(kind, **fields)
            if times is None:
                await log.settled(_QUEUED_MAX)
        await log.settled(0)
        return time.process_time_ns() - before


def emission(body: bytes) -> Emission:
    """Give a stored event as it was emitted."""
    event = events.decode(body)
    fields = {name: getattr(event, name) for name in event.__struct_fields__ if name not in ("seq", "at")}
    return type(event), fields


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), paced=sys.argv[4] == "paced")
