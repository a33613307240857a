"""`holdfast approvals`: what waits for an answer, in all sessions."""

import json
from time import time
from typing import Final

from holdfast_client.shell import columns, figures, reach, requests, sessions
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK
from holdfast_client.shell.plain import one_line

SPEC: Final = Spec(
    usage="""\
holdfast approvals [--json]

List what waits for an answer, in all sessions. `holdfast approve` and
`holdfast deny` take what stands in the first column.

  --json   one JSON document: {"requests": […]}
""",
    flags={"--json": "json"},
)

TITLE_COLUMNS_MAX: Final = 72

_HEADINGS: Final = ("REQUEST", "KIND", "ASKED", "TITLE")


def run(arguments: Arguments) -> int:
    """Print the list; nothing to answer is no error."""
    listed: list[requests.Open] = reach.running().wire.call("request/list", {})["requests"]
    if "json" in arguments.flags:
        print(json.dumps({"requests": listed}))
    else:
        print("\n".join(lines(listed, int(time() * 1000))))
    return OK


def lines(listed: list[requests.Open], now: int) -> list[str]:
    """Give the lines of the table.

    Args:
        listed: open requests.
        now: Unix ms.
    """
    id_length = sessions.short_length({item["sessionId"] for item in listed})
    rows = [_cells(item, id_length, now) for item in listed]
    return columns.lines([_HEADINGS, *rows])


def _cells(item: requests.Open, id_length: int, now: int) -> tuple[str, ...]:
    request = item["request"]
    return (
        f"{item['sessionId'][:id_length]}/{request['requestId']}",
        request["kind"],
        figures.age(now - request["at"]),
        one_line(request["title"], TITLE_COLUMNS_MAX),
    )
