"""A vendor in a process of its own, so that its processor time counts for nobody: answers with streams.

`python -m benchmarks.streaming_vendor` says its port, and serves until its stdin ends. What a response holds
stands in the last prompt of its request: `stream COUNT at PER_SECOND` (0: as fast as it is taken). Each event
is an HTTP chunk of its own, as vendors send them; a paced one is a packet of its own, too.
"""

import functools
import itertools
import re
import socket
import sys
import threading
import time

from benchmarks import ROOT

sys.path.insert(0, str(ROOT / "tests"))

from fakes.vendors import streams
from fakes.vendors.script import Reply, Say, Vendor

_ASKED = re.compile(rb"stream (\d+) at (\d+)")
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_END = b"0\r\n\r\n"
_WRITE_BYTES = 64 * 1024
_WORDS = (" The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", ".")


def main() -> None:
    """Serve."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()
        sys.stdin.read()


def _accept(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        with connection, connection.makefile("rb") as reader:
            while line := reader.readline():
                length = 0
                while (header := reader.readline()) != b"\r\n":
                    name, _, value = header.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                _answer(connection, line.decode(), reader.read(length))
    except ConnectionError:
        pass  # A client that goes is no news here.


def _answer(connection: socket.socket, line: str, body: bytes) -> None:
    count, per_second = map(int, _ASKED.findall(body)[-1])
    chunks = _chunks(_vendor(line.split()[1]), count)
    connection.sendall(_HEAD)
    if per_second:
        _paced(connection, chunks, per_second)
    else:
        whole = memoryview(b"".join(chunks))
        for start in range(0, len(whole), _WRITE_BYTES):
            connection.sendall(whole[start : start + _WRITE_BYTES])
    connection.sendall(_END)


def _paced(connection: socket.socket, chunks: list[bytes], per_second: int) -> None:
    due = time.monotonic()
    for chunk in chunks:
        time.sleep(max(0.0, due - time.monotonic()))
        connection.sendall(chunk)
        due += 1 / per_second


def _vendor(path: str) -> Vendor:
    return "messages" if "messages" in path else "responses" if "responses" in path else "chat"


@functools.cache
def _chunks(vendor: Vendor, count: int) -> list[bytes]:
    """Give the events of a response, each as an HTTP chunk."""
    words = tuple(itertools.islice(itertools.cycle(_WORDS), count))
    found = []
    for name, data in streams.events(vendor, Reply(answer=(Say(pieces=words),))):
        event = (f"event: {name}\n" if name else "") + f"data: {data}\n\n"
        found.append(b"%x\r\n%s\r\n" % (len(event.encode()), event.encode()))
    return found


if __name__ == "__main__":
    main()
