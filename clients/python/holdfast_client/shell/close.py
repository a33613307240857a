"""`holdfast close ID`: unload a session from the daemon's memory. Its log stays."""

import json
from typing import Any, Final

from holdfast_client.shell import confirm, reach, sessions
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK
from holdfast_client.shell.wire import CallRefused

SPEC: Final = Spec(
    usage="""\
holdfast close ID [--force] [--json]

Unload a session from the daemon's memory. Nothing is lost: whoever attaches to
it, or prompts it, loads it again. `holdfast stop` ends the daemon itself.

  --force   cancel its run, if one goes on, without asking
  --json    one JSON document: {"sessionId": …, "seq": …}
""",
    flags={"--force": "force", "--json": "json"},
    positionals=(1, 1),
    completes="session",
)


def run(arguments: Arguments) -> int:
    """Unload; where a run goes on, only if that is wanted."""
    wire = reach.running().wire
    session_id = sessions.resolve(wire, arguments.positionals[0])["sessionId"]
    result = _close(wire, session_id, force="force" in arguments.flags)
    if "json" in arguments.flags:
        print(json.dumps({"sessionId": session_id, "seq": result["seq"]}))
    else:
        print(f"closed {session_id}")
    return OK


def _close(wire: sessions.Caller, session_id: str, *, force: bool) -> dict[str, Any]:
    if not force:
        try:
            return wire.call("session/close", {"sessionId": session_id, "ifIdle": True})
        except CallRefused as refused:
            if refused.kind != "busy":
                raise
        confirm.confirm(f"a run of {session_id} goes on; cancel it?", "--force")
    return wire.call("session/close", {"sessionId": session_id})
