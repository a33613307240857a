"""Text onto up to two streams: the data, and what accompanies it. Knows no events.

Keeps track of where lines begin (two streams that end in the same place share that), and of a passing line
that the next output wipes away.
"""

import os
from collections.abc import Mapping
from typing import Final, Literal, TextIO

from holdfast_client.shell.plain import plain

ColorMode = Literal["auto", "always", "never"]
COLOR_MODES: Final = ("auto", "always", "never")

_DIM: Final = "\x1b[2m"
_BOLD: Final = "\x1b[1m"
_RED: Final = "\x1b[31m"
_RESET: Final = "\x1b[0m"
_STYLES: Final = {"dim": _DIM, "bold": _BOLD, "red": _RED}
_WIPE: Final = "\r\x1b[K"

Style = Literal["dim", "bold", "red"]


def wants_color(stream: TextIO, mode: str, environ: Mapping[str, str]) -> bool:
    """Decide on colour: `--color`, then NO_COLOR, then the variables that force it, then the terminal."""
    if mode != "auto":
        return mode == "always"
    if environ.get("NO_COLOR"):
        return False
    if any(environ.get(name) not in (None, "", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return stream.isatty() and environ.get("TERM", "dumb") != "dumb"


class Line:
    """Where the pen of one terminal, file or pipe stands; shared by streams that end in the same place."""

    def __init__(self) -> None:
        self.is_fresh = True
        self.has_passing = False
        self._writer: TextIO | None = None

    def take_over(self, writer: TextIO) -> None:
        """Let another stream write on: what the one before it holds back comes first."""
        if self._writer is not None and self._writer is not writer:
            self._writer.flush()
        self._writer = writer


class Pane:
    """One stream.

    Args:
        stream: where to.
        line: where its pen stands.
        color: whether styles are shown.
        moves: whether a line can be wiped away again: a terminal that is not dumb.
    """

    def __init__(self, stream: TextIO, line: Line, *, color: bool, moves: bool) -> None:
        self._stream = stream
        self._line = line
        self._color = color
        self._moves = moves

    def write(self, text: str, style: Style | None = None) -> None:
        """Write text as it is to be read; control characters are left out."""
        self._write(plain(text), style)

    def fresh_line(self) -> None:
        """End a line that was begun."""
        self._wipe()
        if not self._line.is_fresh:
            self._write("\n", None)

    def line(self, text: str, style: Style | None = None) -> None:
        """Write whole lines."""
        self.fresh_line()
        self._write(plain(text), style)
        self._write("\n", None)

    def passing(self, text: str) -> None:
        """Show a line until something else is written; nothing where lines cannot be wiped away."""
        if not self._moves:
            return
        self.fresh_line()
        self._line.take_over(self._stream)
        shown = plain(text).replace("\n", " ")[: self._columns(text)]
        self._stream.write(f"{_DIM}{shown}{_RESET}" if self._color else shown)
        self._line.has_passing = True

    def flush(self) -> None:
        """Let everything be seen."""
        self._stream.flush()

    def _write(self, text: str, style: Style | None) -> None:
        if not text:
            return
        self._wipe()
        self._line.take_over(self._stream)
        self._stream.write(f"{_STYLES[style]}{text}{_RESET}" if style and self._color else text)
        self._line.is_fresh = text.endswith("\n")

    def _wipe(self) -> None:
        if self._line.has_passing:
            self._line.take_over(self._stream)
            self._stream.write(_WIPE)
            self._line.has_passing = False

    def _columns(self, text: str) -> int:
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns or 80  # 0: not told.
        except OSError:
            columns = 80
        return max(1, columns - 1 if text.isascii() else columns // 2)  # Wide characters take two.


class Screen:
    """Where a command shows things.

    Attributes:
        text: the data.
        activity: what accompanies it: thinking, tool calls.
        notes: errors, closing lines, hints: always standard error.
    """

    def __init__(self, text: Pane, activity: Pane, notes: Pane) -> None:
        self.text = text
        self.activity = activity
        self.notes = notes

    def flush(self) -> None:
        """Let everything be seen."""
        self.text.flush()
        self.notes.flush()


def open_screen(
    out: TextIO, err: TextIO, mode: str, environ: Mapping[str, str], *, activity_is_data: bool
) -> Screen:
    """Make the screen of a command.

    Args:
        out: standard output.
        err: standard error.
        mode: the value of `--color`.
        environ: the process environment.
        activity_is_data: whether tool calls and thinking go to `out` (following a session), or to `err`
            (running one prompt, whose answer alone is the data).
    """
    can_move = environ.get("TERM", "dumb") != "dumb"
    line = Line()
    err_line = line if _same_place(out, err) else Line()
    text = Pane(out, line, color=wants_color(out, mode, environ), moves=can_move and out.isatty())
    notes = Pane(err, err_line, color=wants_color(err, mode, environ), moves=can_move and err.isatty())
    return Screen(text, text if activity_is_data else notes, notes)


def _same_place(one: TextIO, other: TextIO) -> bool:
    try:
        return os.path.samestat(os.fstat(one.fileno()), os.fstat(other.fileno()))
    except OSError:
        return False
