"""Patterns of paths: `*`, `?` and `[…]` inside a name, `**` for any number of directories, `{a,b}`. Pure.

A pattern without a `/` stands for a name at any depth. Matching takes no more steps than names times parts of
the pattern: none can be made to take for ever. Uses the standard library alone: the search process imports
it.
"""

import fnmatch
import re
from typing import Final

ALTERNATIVES_MAX: Final = 64
_BRACES: Final = re.compile(r"\{([^{},]*(?:,[^{},]*)+)\}")


class BadPattern(Exception):
    """The pattern cannot be used; the message says why."""


class GlobPattern:
    """A pattern, ready to be compared with paths.

    Args:
        text: the pattern.

    Raises:
        BadPattern: it is absolute, goes up, or has over `ALTERNATIVES_MAX` alternatives.
    """

    def __init__(self, text: str) -> None:
        self._alternatives = [_parts(alternative) for alternative in _alternatives(text)]

    def matches(self, parts: tuple[str, ...]) -> bool:
        """Tell whether a path, given by its components, fits."""
        return any(len(pattern) in _reached(pattern, parts) for pattern in self._alternatives)

    def enters(self, parts: tuple[str, ...]) -> bool:
        """Tell whether something below that directory may fit."""
        return any(
            place < len(pattern) for pattern in self._alternatives for place in _reached(pattern, parts)
        )


_Part = re.Pattern[str] | None  # None is `**`.


def _alternatives(text: str) -> list[str]:
    """Write out the braces, the first innermost one first."""
    done: list[str] = []
    waiting = [text]
    while waiting:
        pattern = waiting.pop()
        braces = _BRACES.search(pattern)
        if braces is None:
            done.append(pattern)
        else:
            before, after = pattern[: braces.start()], pattern[braces.end() :]
            waiting += [f"{before}{word}{after}" for word in braces[1].split(",")]
        if len(done) + len(waiting) > ALTERNATIVES_MAX:
            raise BadPattern(f"the pattern has more than {ALTERNATIVES_MAX} alternatives")
    return done


def _parts(pattern: str) -> list[_Part]:
    if pattern.startswith("/"):
        raise BadPattern("a pattern is relative to `path`: it cannot begin with a slash")
    names = [name for name in pattern.split("/") if name not in ("", ".")]
    if ".." in names:
        raise BadPattern("a pattern cannot go up: give the directory as `path`")
    if not names:
        raise BadPattern("the pattern names nothing")
    if "/" not in pattern:
        names.insert(0, "**")
    return [None if name == "**" else re.compile(fnmatch.translate(name)) for name in names]


def _reached(pattern: list[_Part], parts: tuple[str, ...]) -> set[int]:
    """Give the places in the pattern where one may be after these components."""
    places = _with_empty_stars(pattern, {0})
    for name in parts:
        after: set[int] = set()
        for place in places:
            if place == len(pattern):
                continue
            part = pattern[place]
            if part is None:
                after.add(place)
            elif part.match(name):
                after.add(place + 1)
        places = _with_empty_stars(pattern, after)
    return places


def _with_empty_stars(pattern: list[_Part], places: set[int]) -> set[int]:
    """Add the places behind each `**`, which may stand for nothing."""
    for place in sorted(places):
        following = place
        while following < len(pattern) and pattern[following] is None:
            following += 1
            places.add(following)
    return places
