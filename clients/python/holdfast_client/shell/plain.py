"""Text from elsewhere, made safe to show: no control characters, escape sequences, or hidden reordering."""

import re
from typing import Final

_ESCAPE_SEQUENCE: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
"""Whole colour and title sequences, so that no `[31m` is left of them."""

_CONTROLS: Final = r"\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"
"""C0 but tab and newline, DEL, C1, and halves of a pair, which no encoding has."""

_MARKS: Final = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f"
"""What reorders text, and the tags that write text nobody sees."""

_NOTHING: Final = (
    r"\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b"
    r"\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
)
"""What is shown as nothing."""

_JOINERS: Final = r"\u200c\u200d"
"""What is shown as nothing too, but some scripts and pictures need it."""

_LOOK_ALIKES: Final = r"\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f"
"""Blanks and line ends that are none to a program."""

_UNSHOWABLE: Final = re.compile(f"[{_CONTROLS}{_MARKS}{_NOTHING}]")
_HIDDEN: Final = re.compile(f"[{_CONTROLS}{_MARKS}{_NOTHING}{_JOINERS}{_LOOK_ALIKES}]")

_NAMES: Final = {"\r": "<CR>", "\x1b": "<ESC>", "\0": "<NUL>"}


def plain(text: str) -> str:
    """Give text that a terminal shows as it reads; tabs and newlines stay."""
    return _UNSHOWABLE.sub("", _ESCAPE_SEQUENCE.sub("", text))


def revealed(text: str) -> str:
    """Give text with a name such as `<ESC>` or `<U+202E>` for each character that a person would not see.

    For what somebody decides about: nothing is left out. Tabs and newlines stay.
    """
    return _HIDDEN.sub(_name, text)


def one_line(text: str, length_max: int) -> str:
    """Give the text as one line of at most so many characters, with an ellipsis where it was cut."""
    line = " ".join(plain(text).split())
    return line if len(line) <= length_max else line[: length_max - 1].rstrip() + "…"


def _name(found: "re.Match[str]") -> str:
    return _NAMES.get(found[0]) or f"<U+{ord(found[0]):04X}>"
