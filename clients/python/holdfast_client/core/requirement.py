"""Which daemons a program accepts: `holdfast>=0.1,<0.2`. Knows nothing of where they run."""

import re
from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne
from typing import Final, NamedTuple, Self

Release = tuple[int, ...]

_REQUIREMENT: Final = re.compile(r"\s*holdfast\s*(.*?)\s*", re.DOTALL)
_CLAUSE: Final = re.compile(r"\s*(==|!=|>=|<=|>|<|~=)\s*([0-9]+(?:\.[0-9]+){0,7})\s*")
_RELEASE: Final = re.compile(r"([0-9]+(?:\.[0-9]+){0,7})(?![0-9])")

_PLACES: Final = 8  # Versions are compared with zeros behind: 0.2 is 0.2.0.

_OPERATORS: Final[dict[str, Callable[[Release, Release], bool]]] = {
    "==": eq,
    "!=": ne,
    ">=": ge,
    "<=": le,
    ">": gt,
    "<": lt,
}


class Requirement(NamedTuple):
    """Bounds on the daemon's version; all of them hold. A pre-release counts as its release.

    Attributes:
        text: as it was written.
        clauses: (operator, version), as (">=", (0, 1)).
    """

    text: str
    clauses: tuple[tuple[str, Release], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a requirement: `holdfast` and any of `>= <= > < == != ~=`, parted by commas.

        Raises:
            ValueError: it is none.
        """
        named = _REQUIREMENT.fullmatch(text)
        if named is None:
            raise ValueError(f"Expected a requirement as 'holdfast>=0.1,<0.2', not {text!r}.")
        parts = named[1].split(",") if named[1] else []
        return cls(text, tuple(_clause(part, text) for part in parts))

    def is_met_by(self, version: str) -> bool:
        """Tell whether a daemon of this version is accepted. What is no version is not."""
        release = _RELEASE.match(version)
        if release is None:
            return False
        return all(_holds(_padded(_numbers(release[1])), *clause) for clause in self.clauses)


def _clause(part: str, text: str) -> tuple[str, Release]:
    clause = _CLAUSE.fullmatch(part)
    if clause is None or (clause[1] == "~=" and "." not in clause[2]):
        raise ValueError(f"{part.strip()!r} in {text!r} is no bound such as '>=0.1'.")
    return clause[1], _numbers(clause[2])


def _holds(release: Release, operator: str, bound: Release) -> bool:
    if operator == "~=":  # 0.1.2 or later, but still 0.1.
        same = len(bound) - 1
        return release >= _padded(bound) and release[:same] == bound[:same]
    return _OPERATORS[operator](release, _padded(bound))


def _numbers(version: str) -> Release:
    return tuple(int(number) for number in version.split("."))


def _padded(release: Release) -> Release:
    return release + (0,) * (_PLACES - len(release))
