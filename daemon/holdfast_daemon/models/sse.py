"""Server-sent events, without I/O: bytes in, events out. Knows no vendor and no JSON.

The WHATWG rules for `text/event-stream`: lines end with CRLF, LF or CR, a blank line ends an event, lines
that begin with a colon say nothing. `id` and `retry` are ignored: no stream is ever resumed. An event
that no blank line ends does not count.
"""

from typing import Final

import msgspec

EVENT_BYTES_MAX: Final = 4 * 1024 * 1024
LINE_BYTES_MAX: Final = EVENT_BYTES_MAX
"""As much as an event: the last one of Responses repeats the whole output, on one line."""

_BOM: Final = b"\xef\xbb\xbf"
_LF: Final = 0x0A
_CR: Final = 0x0D


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One event. `name` is empty where the stream gave none; lines of `data` are joined by LF."""

    name: bytes
    data: bytes


class SseTooLarge(Exception):
    """A line or an event is over its limit."""


class SseDecoder:
    """Decodes one stream.

    Args:
        line_bytes_max: a longer line is an error, whether it has ended or not.
        event_bytes_max: the data of one event.
    """

    def __init__(
        self, *, line_bytes_max: int = LINE_BYTES_MAX, event_bytes_max: int = EVENT_BYTES_MAX
    ) -> None:
        self._line_bytes_max = line_bytes_max
        self._event_bytes_max = event_bytes_max
        self._partial: list[bytes] = []  # Pieces of a line without its end: joined once, however many.
        self._partial_bytes = 0
        self._name = b""
        self._data: list[bytes] = []  # Lines of the event that is open.
        self._data_bytes = 0
        self._after_cr = False  # The last byte ended a line; an LF that follows belongs to it.
        self._first_line = True

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take bytes, give the events they complete, in order.

        Raises:
            SseTooLarge: a limit is hit; the decoder is of no use afterwards.
        """
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
            self._after_cr = False
        if not data:
            return []
        self._after_cr = data[-1] == _CR
        if _CR in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if _LF not in data:
            self._keep(data)
            return []
        lines = data.split(b"\n")
        if self._partial:
            lines[0] = b"".join((*self._partial, lines[0]))
            self._partial.clear()
            self._partial_bytes = 0
        rest = lines.pop()
        found: list[SseEvent] = []
        for line in lines:
            self._line(line, found)
        if rest:
            self._keep(rest)
        return found

    def _keep(self, piece: bytes) -> None:
        self._partial.append(piece)
        self._partial_bytes += len(piece)
        if self._partial_bytes > self._line_bytes_max:
            raise SseTooLarge(f"a line is over {self._line_bytes_max} bytes")

    def _line(self, line: bytes, found: list[SseEvent]) -> None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(found)
            return
        if len(line) > self._line_bytes_max:
            raise SseTooLarge(f"a line is over {self._line_bytes_max} bytes")
        field, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if field == b"data":
            self._append(value)
        elif field == b"event":
            self._name = value

    def _append(self, value: bytes) -> None:
        self._data_bytes += len(value) + 1
        if self._data_bytes > self._event_bytes_max:
            raise SseTooLarge(f"an event is over {self._event_bytes_max} bytes")
        self._data.append(value)

    def _dispatch(self, found: list[SseEvent]) -> None:
        if self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            found.append(SseEvent(self._name, data))
            self._data.clear()
            self._data_bytes = 0
        self._name = b""
