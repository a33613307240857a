"""Server-sent events, without I/O: bytes in, events out. Knows no vendor and no JSON.

The WHATWG rules for `text/event-stream`: lines end with CRLF, LF or CR, a blank line ends an event, lines
that begin with a colon say nothing. `id` and `retry` are ignored: no stream is ever resumed. An event
that no blank line ends does not count.
"""

import re
from typing import Final

import msgspec

EVENT_BYTES_MAX: Final = 4 * 1024 * 1024
LINE_BYTES_MAX: Final = EVENT_BYTES_MAX
"""As much as an event: the last one of Responses repeats the whole output, on one line."""

_BOM: Final = b"\xef\xbb\xbf"
_LF: Final = 0x0A
_CR: Final = 0x0D
_BLANK: Final = b"\n\n"
_PLAIN: Final = re.compile(rb"(?:event: ([^\n]*)\n)?data: ([^\n]*)\n\n|([^\n]*\n)")
"""An event as nearly all are, or else a line: so nothing is skipped between two matches."""


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
        self._plain_bytes_max = min(line_bytes_max, event_bytes_max)
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
        if self._partial:
            data = b"".join((*self._partial, data))
            self._partial.clear()
            self._partial_bytes = 0
        found: list[SseEvent] = []
        end = data.rfind(_BLANK) + len(_BLANK)
        if end < len(_BLANK):
            self._lines(data, found)
            return found
        # To the end of the event that is open, the whole events behind it, and the begin of one.
        begin = data.find(_BLANK, 0, end) + len(_BLANK) if self._within else 0
        self._lines(data[:begin], found)
        self._whole(data[begin:end], found)
        self._lines(data[end:], found)
        return found

    @property
    def _within(self) -> bool:
        """Whether an event is open, or a BOM may still come."""
        return bool(self._data or self._name or self._first_line)

    def _whole(self, data: bytes, found: list[SseEvent]) -> None:
        """Take events from the begin of the first to the end of the last: the short way for nearly all."""
        plain = _plain(data) if len(data) <= self._plain_bytes_max else None
        if plain is not None:
            found += plain
        else:
            self._lines(data, found)

    def _lines(self, data: bytes, found: list[SseEvent]) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._line(line, found)
        if rest:
            self._keep(rest)

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


def _plain(data: bytes) -> list[SseEvent] | None:
    """Read events of one line of data each, perhaps with a name before it; None if there is anything else."""
    found: list[SseEvent] = []
    for name, value, other in _PLAIN.findall(data):
        if other:
            return None
        found.append(SseEvent(name, value))
    return found
