"""A window of our own: prints a session's text as it comes, one JSON text per line. A bridge is held to it.

`python -m benchmarks.native_window SESSION`, in the environment of the daemon's home. Says `"ready"` first.
"""

import sys

import anyio
import msgspec

from holdfast_client import aio
from holdfast_protocol import events


async def main(session_id: str) -> None:
    async with aio.connect("attach", autostart=False) as client:
        stream = client.session(session_id).events(after="head")
        async with stream:
            await stream.fill()
            _say("ready")
            async for event in stream:
                if isinstance(event, events.TokenDelta):
                    _say(event.text)


def _say(text: str) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(text) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
