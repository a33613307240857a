"""A program that follows a session from a cursor and prints what it gets, to be killed while it does.

    python killed_reader.py async|blocking RUNTIME_DIR SESSION

Each line of standard input, `CURSOR EPOCH`, begins a life of it: a process of its own, so that it need not
start Python anew. It prints `pid PID` and then `SEQ TYPE EPOCH` for each event; when it has ended, its parent
prints `ended STATUS`.
"""

import os
import sys
from collections.abc import Callable

import anyio

from holdfast_client import aio, blocking
from holdfast_client.core.tail import AnyEvent
from holdfast_protocol import discovery, events


def say(line: str) -> None:
    """Print a line: all of it, or nothing."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def tell(event: AnyEvent, epoch: str | None) -> None:
    """Print an event."""
    say(f"{event.seq} {events.type_of(event)} {epoch}")


def follow(runtime: str, session_id: str, cursor: int, epoch: str) -> None:
    """Follow with the blocking library."""
    locations = discovery.Locations(config="", state="", runtime=runtime)
    with blocking.connect("attach", locations=locations, autostart=False) as client:
        stream = client.session(session_id).events(cursor, epoch=epoch)
        for event in stream:
            tell(event, stream.epoch)


async def follow_async(runtime: str, session_id: str, cursor: int, epoch: str) -> None:
    """Follow with the async library."""
    locations = discovery.Locations(config="", state="", runtime=runtime)
    async with aio.connect("attach", locations=locations, autostart=False) as client:
        stream = client.session(session_id).events(cursor, epoch=epoch)
        async for event in stream:
            tell(event, stream.epoch)


def live(work: Callable[[], None]) -> int:
    """Do something in a process of its own; give its exit status."""
    pid = os.fork()
    if not pid:
        try:
            say(f"pid {os.getpid()}")
            work()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(library: str, runtime: str, session_id: str) -> None:
    """Live as often as standard input says."""
    for line in sys.stdin:
        cursor, epoch = line.split()

        def work(place: tuple[str, str, int, str] = (runtime, session_id, int(cursor), epoch)) -> None:
            if library == "async":
                anyio.run(follow_async, *place)
            else:
                follow(*place)

        say(f"ended {live(work)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
