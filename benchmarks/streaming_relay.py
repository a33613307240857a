"""The floor of `streaming`: from a vendor's stream of events to a client's socket, and nothing besides.

`python -m benchmarks.streaming_relay SOCKET PORT [DIRECTORY]`: takes the events apart, decodes each one and
writes its text to the client as a JSON line; what came at once goes out at once. With a directory, the lines
are stored in the log's tables and synced before.
"""

import asyncio
import itertools
import sys
import time
from pathlib import Path

import apsw
import msgspec

from benchmarks.floors.database import CHECKPOINT_BYTES, open_database
from benchmarks.floors.sockets import listen
from benchmarks.load import RUN_END
from benchmarks.streaming_ask import PATHS, Ask, answer, asks
from holdfast_daemon.journal.sqlite import SQLiteStore

_HEAD_END = b"\r\n\r\n"


_SESSIONS = itertools.count(1)


class _Delta(msgspec.Struct):
    text: str | None = None
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Event(msgspec.Struct):
    """A chunk of any of the three wires, as far as its text goes."""

    delta: _Delta | str | None = None
    choices: list[_Choice] = []


class _Line(msgspec.Struct):
    text: str


_EVENT = msgspec.json.Decoder(_Event)
_LINE = msgspec.json.Encoder()


class Relay(asyncio.Protocol):
    """One response on its way.

    Args:
        client: its transport.
        database: where lines are stored before they are sent; None to store none.
    """

    def __init__(self, client: asyncio.WriteTransport, database: apsw.Connection | None) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self._client = client
        self._database = database
        self._raw = b""  # HTTP that is not taken off yet.
        self._headed = False  # Its head is.
        self._whole = False  # The last chunk came.
        self._partial = b""  # The begin of an event.
        self._session = next(_SESSIONS)
        self._seq = 1

    def data_received(self, data: bytes) -> None:
        events = (self._partial + self._body(data)).split(b"\n\n")
        self._partial = events.pop()
        lines = [_LINE.encode(_Line(text)) + b"\n" for event in events if (text := _text(event))]
        if lines:
            if self._database is not None:
                self._store(self._database, lines)
            self._client.write(b"".join(lines))
        if self._whole:
            self.ended.set_result(None)

    def _body(self, data: bytes) -> bytes:
        """Take HTTP off: the head, and the lines around each chunk."""
        data = self._raw + data
        place = 0 if self._headed else data.find(_HEAD_END) + len(_HEAD_END)
        self._headed = self._headed or place >= len(_HEAD_END)
        chunks: list[bytes] = []
        while self._headed and (line_end := data.find(b"\r\n", place)) > 0:
            begin, size = line_end + 2, int(data[place:line_end], 16)
            if begin + size + 2 > len(data):
                break
            chunks.append(data[begin : begin + size])
            place = begin + size + 2
            self._whole = not size
        self._raw = data[place:] if self._headed else data
        return b"".join(chunks)

    def _store(self, database: apsw.Connection, lines: list[bytes]) -> None:
        rows = [
            (self._session, self._seq + number, "token_delta", "r", 0, line)
            for number, line in enumerate(lines)
        ]
        self._seq += len(lines)
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO events VALUES (?,?,?,?,?,?)", rows)
        database.execute("COMMIT")


def _text(event: bytes) -> str | None:
    """Give the text of an event, if it has any."""
    _, found, data = event.partition(b"data: ")
    if not found or data == b"[DONE]":
        return None
    decoded = _EVENT.decode(data)
    if isinstance(decoded.delta, str):
        return decoded.delta
    if decoded.choices:
        return decoded.choices[0].delta.content
    return decoded.delta.text if decoded.delta is not None else None


class Client(asyncio.Protocol):
    """The client's end of it; `written` is set while nothing waits to be written."""

    def __init__(self) -> None:
        self.written = asyncio.Event()
        self.written.set()

    def pause_writing(self) -> None:
        self.written.clear()

    def resume_writing(self) -> None:
        self.written.set()


async def main(path: str, port: int, directory: Path | None) -> None:
    """Relay what is asked for."""
    loop = asyncio.get_running_loop()
    sock, _ = listen(path).accept()
    sock.setblocking(False)
    client, end = await loop.connect_accepted_socket(Client, sock)
    client.set_write_buffer_limits(0)
    database = _log(directory) if directory is not None else None
    for ask in asks():
        before = time.process_time_ns()
        transport, relay = await loop.create_connection(lambda: Relay(client, database), "127.0.0.1", port)
        transport.write(_request(ask))
        await relay.ended
        transport.close()
        await end.written.wait()
        answer(time.process_time_ns() - before)
    client.write(RUN_END.encode() + b"\n")


def _request(ask: Ask) -> bytes:
    body = ask.prompt.encode()
    return b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (PATHS[ask.wire].encode(), len(body), body)


def _log(directory: Path) -> apsw.Connection:
    """Make a log with the daemon's tables, and open it again without the daemon's code."""
    SQLiteStore(directory, spill_bytes=2**20, checkpoint_bytes=CHECKPOINT_BYTES, truncate_bytes=2**30).close()
    return open_database(str(directory / "journal.db"))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None))
