"""An asyncio server that writes back each line; with a database, after a row was inserted and synced.

`python -m benchmarks.floors.echo SOCKET [DATABASE]`
"""

import asyncio
import sys

from benchmarks.floors.database import open_database


class Echo(asyncio.Protocol):
    """One connection."""

    def __init__(self, insert: "Insert | None") -> None:
        self._insert = insert

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._insert is not None:
            self._insert(data)
        self._transport.write(data)


class Insert:
    """One durable row for each call."""

    def __init__(self, path: str) -> None:
        self._database = open_database(path)
        self._database.execute("CREATE TABLE rows (seq INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")

    def __call__(self, body: bytes) -> None:
        self._database.execute("INSERT INTO rows (body) VALUES (?)", (body,))


async def serve(path: str, insert: Insert | None) -> None:
    """Serve until stdin ends."""
    loop = asyncio.get_running_loop()
    await loop.create_unix_server(lambda: Echo(insert), path)
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Insert(sys.argv[2]) if len(sys.argv) > 2 else None))
