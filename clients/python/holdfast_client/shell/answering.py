"""What `approve` and `deny` do alike: find the request, answer it, say what counts."""

import json
import sys
from typing import Any

from holdfast_client.shell import proposal, reach, requests
from holdfast_client.shell.exit_codes import FAILED, OK, CommandFailed
from holdfast_client.shell.plain import one_line

_TITLE_COLUMNS_MAX = 160


def answer(name: str, given: dict[str, Any], *, as_json: bool, shows: bool = False) -> int:
    """Answer the request that `name` means.

    Args:
        name: as `requests.choose` takes it.
        given: params of `request/respond`: `outcome`, and `scope` or `message`.
        as_json: whether to print a document.
        shows: whether to show first, on standard error, the whole of what is answered.

    Raises:
        CommandFailed: somebody was faster, and answered otherwise.
    """
    wire = reach.running().wire
    item = requests.choose(wire, name)
    if shows:
        for line in proposal.lines(item["request"]):
            print(f"    {line}", file=sys.stderr, flush=True)
    told = requests.respond(wire, item, _for_good(item["request"], given))
    if as_json:
        print(json.dumps(told), flush=True)
    title = one_line(told["title"], _TITLE_COLUMNS_MAX)
    if told["accepted"]:
        if not as_json:
            print(f"{told['outcome']}: {title}")
        return OK
    raise CommandFailed(f"{title}: already answered by {told['by']}: {told['outcome']}", FAILED, "answered")


def _for_good(request: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Give the answer with the scope the request takes: one that cannot be allowed once is meant for good."""
    offered = {option["kind"] for option in request["options"]}
    if given.get("scope") != "once" or "allow_always" not in offered or "allow_once" in offered:
        return given
    return {**given, "scope": "always"}
