"""What `approve` and `deny` do alike: find the request, answer it, say what counts."""

import json
from typing import Any

from holdfast_client.shell import reach, requests
from holdfast_client.shell.exit_codes import FAILED, OK, CommandFailed
from holdfast_client.shell.plain import one_line

_TITLE_COLUMNS_MAX = 160


def answer(name: str, given: dict[str, Any], *, as_json: bool) -> int:
    """Answer the request that `name` means.

    Args:
        name: as `requests.choose` takes it.
        given: params of `request/respond`: `outcome`, and `scope` or `message`.
        as_json: whether to print a document.

    Raises:
        CommandFailed: somebody was faster, and answered otherwise.
    """
    wire = reach.running().wire
    told = requests.respond(wire, requests.choose(wire, name), given)
    if as_json:
        print(json.dumps(told), flush=True)
    title = one_line(told["title"], _TITLE_COLUMNS_MAX)
    if told["accepted"]:
        if not as_json:
            print(f"{told['outcome']}: {title}")
        return OK
    raise CommandFailed(f"{title}: already answered by {told['by']}: {told['outcome']}", FAILED, "answered")
