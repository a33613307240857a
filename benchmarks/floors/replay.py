"""Reads a log's rows in pages and sends each page: one thread, blocking calls.

`python -m benchmarks.floors.replay SOCKET DATABASE PAGE_EVENTS`; the database has one session.
"""

import json
import sys
import time

import apsw

from benchmarks.floors.sockets import accept, listen

_PAGE = "SELECT seq, body FROM events WHERE session = 1 AND seq > ? ORDER BY seq LIMIT ?"
_END = b'{"jsonrpc":"2.0","method":"session/caughtUp","params":{}}\n'


def main(path: str, database_path: str, page_events: int) -> None:
    """Send all there is; print what it took."""
    listener = listen(path)
    database = apsw.Connection(database_path, flags=apsw.SQLITE_OPEN_READWRITE)
    (sock,) = accept(listener, 1)
    before = time.process_time_ns()
    cursor = 0
    while rows := database.execute(_PAGE, (cursor, page_events)).fetchall():
        cursor = rows[-1][0]
        sock.sendall(b'{"events":[%b]}\n' % b",".join([body for _, body in rows]))
    sock.sendall(_END)
    cpu_ns = time.process_time_ns() - before
    print(json.dumps({"cpu_ns": cpu_ns, "events": cursor}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
