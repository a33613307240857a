"""`holdfast fork ID`: begin a new session with the events of another."""

import json
from typing import Any, Final

from holdfast_client.shell import daemon, prompt_input, reach, sessions
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK

SPEC: Final = Spec(
    usage="""\
holdfast fork ID [--at SEQ] [--name TITLE] [--json]

Begin a new session that has the events of another, and print its id. Both go
on apart; the files they work on are the same.

  --at SEQ       the last event to take over; all of them
  --name TITLE   the new session's title
  --json         one JSON document: {"sessionId": …, "epoch": …, "seq": …,
                 "forkedFrom": …}
""",
    flags={"--json": "json"},
    options={"--at": "at", "--name": "name"},
    positionals=(1, 1),
    completes="session",
)


def run(arguments: Arguments) -> int:
    """Fork, and print the new session's id."""
    at = arguments.integer("at", 1)
    wire = reach.started().wire
    origin = sessions.resolve(wire, arguments.positionals[0])["sessionId"]
    params: dict[str, Any] = {"sessionId": origin, "newSessionId": daemon.new_id()}
    if at is not None:
        params["at"] = at
    if "name" in arguments.options:
        params["title"] = prompt_input.sendable(arguments.options["name"])
    made = wire.call("session/fork", params)
    if "json" in arguments.flags:
        print(json.dumps({**made, "forkedFrom": origin}))
    else:
        print(made["sessionId"])
    return OK
