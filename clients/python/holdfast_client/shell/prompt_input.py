"""What a person asks: words of the command line, standard input, or both. Makes content blocks."""

import os
import select
import stat
import sys
from typing import Any, Final

from holdfast_client.shell.exit_codes import UsageError

INPUT_BYTES_MAX: Final = 8 * 1024 * 1024
"""No daemon takes a larger message; what it does take is in its own limits."""

MODES: Final = ("ask", "plan", "accept_edits", "auto")
"""What a run may do without asking; see PROTOCOL.md, "Permissions"."""

_HINT_AFTER_S: Final = 3.0
_READ_BYTES: Final = 64 * 1024
_STDIN: Final = 0


def content(words: list[str]) -> list[dict[str, Any]]:
    """Give the prompt as content blocks: the words, then what was piped in.

    A word `-` asks for standard input. Without it a pipe or file is still read, as people expect of
    `… | holdfast run explain`; a terminal or `/dev/null` is not.

    Raises:
        UsageError: there is nothing, or too much.
    """
    asked = "-" in words
    text = " ".join(word for word in words if word != "-")
    texts = [sendable(text)] if text.strip() else []
    if asked or is_piped():
        piped = _read_all()
        if piped.strip():
            texts.append(piped)
    if not texts:
        raise UsageError("what is to be done? give a prompt, or pipe one in")
    return [{"type": "text", "text": text} for text in texts]


def sendable(text: str) -> str:
    """Give text that is Unicode: bytes of the command line that were no UTF-8 are replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def is_piped() -> bool:
    """Tell whether standard input is a pipe or a file, as people mean to be read."""
    try:
        mode = os.fstat(_STDIN).st_mode
    except OSError:
        return False  # Closed.
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _read_all() -> str:
    """Read standard input to its end; says on standard error what it waits for if nothing comes."""
    if not os.isatty(_STDIN) and not select.select([_STDIN], [], [], _HINT_AFTER_S)[0]:
        print("holdfast: reading standard input (</dev/null if none is meant)", file=sys.stderr, flush=True)
    received = bytearray()
    while chunk := os.read(_STDIN, _READ_BYTES):
        received += chunk
        if len(received) > INPUT_BYTES_MAX:
            raise UsageError(f"standard input is longer than {INPUT_BYTES_MAX // 2**20} MiB")
    return received.decode("utf-8", "replace")
