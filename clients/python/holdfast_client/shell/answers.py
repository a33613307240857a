"""What a line typed at a terminal answers to an open request. Pure.

Options are named by one letter, or by their number where they are choices.
"""

from collections.abc import Mapping
from typing import Any, Final

KINDS: Final = ("permission", "question")
"""Requests that can be answered so; a form can only be declined."""

_LETTERS: Final = {"allow_once": "y", "allow_session": "s", "allow_always": "a", "deny": "n"}
_WORDS: Final = {"yes": "y", "no": "n"}

Request = Mapping[str, Any]


def named(request: Request) -> dict[str, Mapping[str, str]]:
    """Give a request's options by what is to be typed for them; a form is not filled in by a letter."""
    options: list[Mapping[str, str]] = list(request["options"])
    if request["kind"] == "form":
        options = [option for option in options if option["id"] != "accept"]
    return {_LETTERS.get(option["kind"], str(number)): option for number, option in enumerate(options, 1)}


def offer(request: Request) -> str:
    """Say what can be typed: `y allow once, s allow in this session, n deny`."""
    typed = ", ".join(f"{key} {option['label'].lower()}" for key, option in named(request).items())
    elsewhere = f"; holdfast approve {request['requestId']} --values … fills it in"
    return typed + (elsewhere if request["kind"] == "form" else "")


def outcome(request: Request, line: str) -> str | None:
    """Give the outcome a line means, None if it means none."""
    word = line.strip().lower()
    option = named(request).get(_WORDS.get(word, word))
    return option["id"] if option is not None else None
