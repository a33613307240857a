"""`holdfast rename ID TITLE…`: give a session another title."""

import json
from typing import Final

from holdfast_client.shell import prompt_input, reach, sessions
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK, UsageError
from holdfast_client.shell.plain import one_line

SPEC: Final = Spec(
    usage="""\
holdfast rename ID TITLE… [--json]

Give a session another title, by which it can be named from then on.

  --json   one JSON document: {"sessionId": …, "title": …, "seq": …}
""",
    flags={"--json": "json"},
    positionals=(2, None),
    completes="session",
)

_TITLE_COLUMNS_MAX: Final = 160


def run(arguments: Arguments) -> int:
    """Rename, and say how it is called now."""
    name, *words = arguments.positionals
    title = prompt_input.sendable(" ".join(words)).strip()
    if not title:
        raise UsageError("a title has to have a character that can be seen")
    wire = reach.started().wire
    session_id = sessions.resolve(wire, name)["sessionId"]
    result = wire.call("session/update", {"sessionId": session_id, "title": title})
    if "json" in arguments.flags:
        print(json.dumps({"sessionId": session_id, "title": title, "seq": result["seq"]}))
    else:
        print(f"{session_id} is {one_line(title, _TITLE_COLUMNS_MAX)}")
    return OK
