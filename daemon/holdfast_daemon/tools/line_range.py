"""Takes a range of lines out of a file of any size, in bounded memory. Knows nothing of tools or paths."""

from collections.abc import Callable
from typing import BinaryIO, Final

import msgspec

_PIECE_BYTES: Final = 64 * 1024  # The longest part of a line held at once.
_CHECK_EVERY_PIECES: Final = 1024
_BINARY_PROBE_BYTES: Final = 8 * 1024


class BinaryFile(Exception):
    """The file is not text: it holds NUL bytes."""


class TooFar(Exception):
    """The range lies behind more bytes than may be read."""


class LineRange(msgspec.Struct, frozen=True, kw_only=True):
    r"""Lines `first` to `last` of a file, from 1; `last` is `first` - 1 where there is none.

    Attributes:
        data: the lines as they stand, with their `\n`.
        more: whether more follows.
        cut_line: the last line was too long and is not whole.
    """

    data: bytes
    first: int
    last: int
    more: bool
    cut_line: bool = False


def read_line_range(
    file: BinaryIO, first: int, count: int, *, bytes_max: int, scan_bytes_max: int, check: Callable[[], None]
) -> LineRange:
    """Read `count` lines from line `first` on, or as many whole ones as fit in `bytes_max`.

    Args:
        file: positioned at its start, buffered.
        first: from 1.
        count: at least 1.
        bytes_max: the most bytes given. A first line longer than that is cut.
        scan_bytes_max: the most bytes read.
        check: called now and then; raises to stop.

    Raises:
        BinaryFile: there is a NUL byte at the beginning or in the range.
        TooFar: `scan_bytes_max` was not enough to reach `first`.
    """
    if b"\0" in _peek(file, _BINARY_PROBE_BYTES):
        raise BinaryFile
    line = _skip(file, first, scan_bytes_max, check)
    taken = _take(file, line, count, bytes_max) if line == first else _nothing(line)
    if b"\0" in taken.data:
        raise BinaryFile
    return taken


def _skip(file: BinaryIO, first: int, scan_bytes_max: int, check: Callable[[], None]) -> int:
    """Read up to line `first`; give the line reached, lower at the end of the file."""
    line = 1
    scanned = 0
    pieces = 0
    while line < first and (piece := file.readline(_PIECE_BYTES)):
        scanned += len(piece)
        pieces += 1
        line += piece.endswith(b"\n")
        if scanned > scan_bytes_max:
            raise TooFar
        if pieces % _CHECK_EVERY_PIECES == 0:
            check()
    return line


def _take(file: BinaryIO, first: int, count: int, bytes_max: int) -> LineRange:
    data = bytearray()
    for line in range(first, first + count):
        room = bytes_max - len(data)
        whole = file.readline(room + 1)
        if len(whole) > room:
            if data:
                return LineRange(data=bytes(data), first=first, last=line - 1, more=True)
            return LineRange(data=whole[:room], first=first, last=line, more=True, cut_line=True)
        if not whole:
            return LineRange(data=bytes(data), first=first, last=line - 1, more=False)
        data += whole
    return LineRange(data=bytes(data), first=first, last=first + count - 1, more=bool(_peek(file, 1)))


def _nothing(line: int) -> LineRange:
    return LineRange(data=b"", first=line, last=line - 1, more=False)


def _peek(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    file.seek(-len(data), 1)
    return data
