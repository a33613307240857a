"""Rows of the session list, and which of them a person means. Rows are `SessionInfo` as on the wire."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Final, Protocol

from holdfast_client.shell.exit_codes import NO_SESSION, USAGE, CommandFailed

PAGE_ROWS: Final = 1000
"""What `session/list` gives at most."""

SHORT_ID_MIN: Final = 8

_CANDIDATES_SHOWN: Final = 5

Row = dict[str, Any]


class Caller(Protocol):
    """A `Wire` or a `Link`."""

    def call(self, method: str, params: dict[str, Any]) -> Any:
        """Make a call and give its result."""


def rows(caller: Caller, **params: Any) -> Iterator[Row]:
    """Give all rows, most recently used first, a page at a time."""
    cursor: dict[str, str] = {}
    while True:
        page = caller.call("session/list", {"limit": PAGE_ROWS, **params, **cursor})
        yield from page["sessions"]
        if not page.get("next"):
            return
        cursor = {"cursor": page["next"]}


def last_used(caller: Caller, directory: str) -> Row | None:
    """Give the session last used in a directory, archived ones apart; None if there is none."""
    page = caller.call("session/list", {"cwd": directory, "limit": 1})
    return next(iter(page["sessions"]), None)


def resolve(caller: Caller, name: str) -> Row:
    """Give the session a person means: by its id, the beginning of its id or its title, or a part of that.

    Raises:
        CommandFailed: none is meant (NO_SESSION), or several are (USAGE).
    """
    return choose(rows(caller, archived=True), name)


def choose(candidates: Iterable[Row], name: str) -> Row:
    """Give the one row that `name` means; see `resolve`. Reads no further than an exact id."""
    wanted = name.casefold()
    beginning: list[Row] = []
    titled: list[Row] = []
    containing: list[Row] = []
    for row in candidates:
        title = (row.get("title") or "").casefold()
        if row["sessionId"] == name:
            return row
        if row["sessionId"].startswith(name):
            beginning.append(row)
        if title == wanted:
            titled.append(row)
        elif wanted in title:
            containing.append(row)
    told = beginning + [row for row in titled if row not in beginning]
    for group in (told, containing):
        if group and name:
            return _only(group, name)
    raise CommandFailed(f"there is no session {name!r}", NO_SESSION, "not_found")


def _only(group: list[Row], name: str) -> Row:
    if len(group) == 1:
        return group[0]
    shown = ", ".join(label(row) for row in group[:_CANDIDATES_SHOWN])
    more = "" if len(group) <= _CANDIDATES_SHOWN else f" and {len(group) - _CANDIDATES_SHOWN} more"
    raise CommandFailed(f"{name!r} may be {shown}{more}", USAGE, "ambiguous")


def label(row: Row) -> str:
    """Name a row to a person."""
    return f"{row['sessionId']} ({row['title']})" if row.get("title") else row["sessionId"]


def short_length(ids: Iterable[str]) -> int:
    """Give how many characters tell these ids apart, at least `SHORT_ID_MIN`."""
    ordered = sorted(ids)
    length = SHORT_ID_MIN
    for one, after_it in pairwise(ordered):
        while one[:length] == after_it[:length] and length < len(after_it):
            length += 1
    return length
