"""`holdfast cancel ID`: end a session's run. The session lives on."""

import json
from typing import Any, Final

from holdfast_client.shell import reach, sessions
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK

SPEC: Final = Spec(
    usage="""\
holdfast cancel ID [--run RUN] [--clear-queue] [--json]

Cancel the current run of a session, but not the session.

  --run RUN       only if this is the run
  --clear-queue   also drop the prompts that wait behind it
  --json          one JSON document: {"sessionId": …, "cancelled": true or
                  false, "runId": …}
""",
    flags={"--clear-queue": "clear-queue", "--json": "json"},
    options={"--run": "run"},
    positionals=(1, 1),
    completes="session",
)


def run(arguments: Arguments) -> int:
    """Cancel, and say what was there to cancel."""
    wire = reach.running().wire
    session_id = sessions.resolve(wire, arguments.positionals[0])["sessionId"]
    params: dict[str, Any] = {"sessionId": session_id, "clearQueue": "clear-queue" in arguments.flags}
    if "run" in arguments.options:
        params["runId"] = arguments.options["run"]
    result = wire.call("session/cancel", params)
    if "json" in arguments.flags:
        print(json.dumps({"sessionId": session_id, **result}))
    elif result["cancelled"]:
        print(f"cancelled {result.get('runId', 'the run')} of {session_id}")
    else:
        print(f"nothing to cancel in {session_id}")
    return OK
