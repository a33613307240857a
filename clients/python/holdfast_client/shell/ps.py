"""`holdfast ps`: the session list."""

import json
import os
from time import time
from typing import Any, Final

from holdfast_client.shell import columns, figures, reach, sessions
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK
from holdfast_client.shell.plain import one_line

SPEC: Final = Spec(
    usage="""\
holdfast ps [--all] [--json]

List sessions, most recently used first.

  -a, --all   archived ones too, and however many there are
  --json      one JSON document: {"sessions": […]}, and "more": true where the
              list was cut
""",
    flags={"-a": "all", "--all": "all", "--json": "json"},
)

ROWS_SHOWN: Final = 100
"""More than anybody reads; `--all` has the rest."""

TITLE_COLUMNS_MAX: Final = 48

_HEADINGS: Final = ("ID", "STATUS", "USED", "MODEL", "TITLE", "DIRECTORY")


def run(arguments: Arguments) -> int:
    """Print the list."""
    wire = reach.running().wire
    if "all" in arguments.flags:
        listed, more = list(sessions.rows(wire, archived=True)), False
    else:
        page = wire.call("session/list", {"limit": ROWS_SHOWN})
        listed, more = page["sessions"], bool(page.get("next"))
    if "json" in arguments.flags:
        print(json.dumps({"sessions": listed, **({"more": True} if more else {})}))
        return OK
    print("\n".join(table(listed, int(time() * 1000), os.environ.get("HOME", ""))))
    if more:
        print(f"… the last {len(listed)} used; `holdfast ps --all` lists all")
    return OK


def table(listed: list[sessions.Row], now: int, home: str) -> list[str]:
    """Give the lines of the table.

    Args:
        listed: rows of the session list.
        now: Unix ms.
        home: the home directory, shown as `~`.
    """
    id_length = sessions.short_length(row["sessionId"] for row in listed)
    cells = [_HEADINGS, *(_cells(row, id_length, now, home) for row in listed)]
    return columns.lines(cells)


def _cells(row: dict[str, Any], id_length: int, now: int, home: str) -> tuple[str, ...]:
    directory = one_line(row["cwd"], 4096)
    if home and (directory == home or directory.startswith(f"{home}/")):
        directory = f"~{directory.removeprefix(home)}"
    return (
        row["sessionId"][:id_length],
        row["status"] + (" (archived)" if row.get("archived") else ""),
        figures.age(now - row["updatedAt"]),
        one_line(row["model"], TITLE_COLUMNS_MAX),
        one_line(row.get("title") or "-", TITLE_COLUMNS_MAX),
        directory,
    )
