"""The few signs beside letters, and what stands for them where the terminal's encoding lacks them."""

from typing import Final, NamedTuple


class Glyphs(NamedTuple):
    """Signs one column wide; `spinner` is played over and over."""

    done: str
    failed: str
    thought: str
    call: str
    prompt: str
    more: str
    rule: str
    dot: str
    pending: str
    active: str
    spinner: str


UNICODE: Final = Glyphs("✓", "✗", "✻", "●", ">", "…", "─", "·", "☐", "▸", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
ASCII: Final = Glyphs("+", "x", "*", "*", ">", "...", "-", "|", "[ ]", "[>]", "|/-\\")


def glyphs_for(encoding: str | None) -> Glyphs:
    """Give what an encoding can show."""
    try:
        "".join(UNICODE).encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return ASCII
    return UNICODE
