"""An editor's pipes as bytes in and out, whatever they are: pipes, sockets, files. Knows no messages."""

import contextlib
import os
import stat
from typing import Final

import anyio
import anyio.to_thread

_READ_BYTES: Final = 256 * 1024


class Pipes:
    """Two descriptors. One reader, one writer.

    Args:
        source: read from.
        sink: written to.
    """

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._can_wait = True  # Until it shows that the source is a file, which always has something.
        mode = os.fstat(sink).st_mode
        self._sink_can_wait = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        self._sink_blocked_before = os.get_blocking(sink)
        if self._sink_can_wait:
            os.set_blocking(sink, False)

    async def receive(self) -> bytes:
        """Wait for bytes; none at the end, and when the source breaks."""
        if self._can_wait:
            try:
                await anyio.wait_readable(self._source)
            except PermissionError:
                self._can_wait = False
        try:
            if self._can_wait:
                return os.read(self._source, _READ_BYTES)
            return await anyio.to_thread.run_sync(os.read, self._source, _READ_BYTES, abandon_on_cancel=True)
        except BlockingIOError:
            return await self.receive()
        except OSError:
            return b""

    async def send(self, data: bytes) -> None:
        """Write all of it, waiting where the reader is slow.

        Raises:
            OSError: there is no reader any more.
        """
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._sink, rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._sink)

    def close(self) -> None:
        """Leave the sink as it was found."""
        with contextlib.suppress(OSError):
            os.set_blocking(self._sink, self._sink_blocked_before)
