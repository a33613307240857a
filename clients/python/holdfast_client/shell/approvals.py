"""`holdfast approvals`: what waits for an answer, in all sessions."""

import json
from collections.abc import Callable
from time import time
from typing import Any, Final

from holdfast_client.shell import columns, figures, reach, requests, sessions
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK
from holdfast_client.shell.plain import one_line

SPEC: Final = Spec(
    usage="""\
holdfast approvals [ID] [-v] [--json]

List what waits for an answer, in all sessions. `holdfast approve` and
`holdfast deny` take what stands in the first column. With ID, one of these,
the beginning of one or a session, the whole of it: the command, the diff of a
change, the options.

  -v, --verbose   the whole of each
  --json          one JSON document: {"requests": […]}
""",
    flags={"-v": "verbose", "--verbose": "verbose", "--json": "json"},
    positionals=(0, 1),
    completes="request",
)

TITLE_COLUMNS_MAX: Final = 72

NOTHING: Final = "nothing waits for an answer"

_HEADINGS: Final = ("REQUEST", "KIND", "ASKED", "TITLE")


def run(arguments: Arguments) -> int:
    """Print the list; nothing to answer is no error."""
    wire = reach.running().wire
    if arguments.positionals:
        listed = [requests.choose(wire, arguments.positionals[0])]
    else:
        listed = wire.call("request/list", {})["requests"]
    now = int(time() * 1000)
    if "json" in arguments.flags:
        print(json.dumps({"requests": listed}))
    elif arguments.positionals or "verbose" in arguments.flags:
        print("\n\n".join("\n".join(details(item, now)) for item in listed) or NOTHING)
    else:
        print("\n".join(lines(listed, now)))
    return OK


def details(item: requests.Open, now: int) -> list[str]:
    """Give the whole of a request.

    Args:
        item: an open request.
        now: Unix ms.
    """
    from holdfast_client.shell import proposal  # noqa: PLC0415 - the list alone needs none

    request = item["request"]
    options = [
        (f"  {option['id']}", one_line(option["label"], TITLE_COLUMNS_MAX)) for option in request["options"]
    ]
    return [
        f"{requests.label(item)}  {request['kind']}, asked: {figures.age(now - request['at'])}",
        *map(proposal.visible, str(request["title"]).split("\n")),
        *(f"    {line}" for line in [*proposal.lines(request), *_plan(request, proposal.visible)]),
        *(columns.lines(options) if options else ()),
    ]


def _plan(request: dict[str, Any], visible: Callable[[str], str]) -> list[str]:
    """Give the plan that is to be answered for, if it is one."""
    match request.get("detail"):
        case {"plan": str(plan)}:
            return list(map(visible, plan.split("\n")))
        case _:
            return []


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
