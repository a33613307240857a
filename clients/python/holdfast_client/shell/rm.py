"""`holdfast rm ID…`: delete sessions for good."""

import json
from typing import Final

from holdfast_client.shell import confirm, reach, sessions
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK

SPEC: Final = Spec(
    usage="""\
holdfast rm ID… [--force] [--json]

Delete sessions and their logs for good. A run that goes on is cancelled first.
The files they worked on stay as they are.

  -f, --force   do not ask
  --json        one JSON document: {"deleted": [ids]}
""",
    flags={"-f": "force", "--force": "force", "--json": "json"},
    positionals=(1, None),
    completes="session",
)


def run(arguments: Arguments) -> int:
    """Delete all or, where a name means no session or nobody agrees, none."""
    wire = reach.started().wire
    known = list(sessions.rows(wire, archived=True))
    rows = {row["sessionId"]: row for row in (sessions.choose(known, name) for name in arguments.positionals)}
    if "force" not in arguments.flags:
        named = ", ".join(sessions.label(row) for row in rows.values())
        confirm.confirm(f"delete {named} for good?", "--force")
    for session_id in rows:
        wire.call("session/delete", {"sessionId": session_id})
        if "json" not in arguments.flags:
            print(f"deleted {session_id}", flush=True)
    if "json" in arguments.flags:
        print(json.dumps({"deleted": list(rows)}))
    return OK
