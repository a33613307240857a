"""`holdfast send ID TEXT…`: give a session a prompt, and leave."""

import json
from typing import Any, Final

from holdfast_client.shell import daemon, prompt_input, reach, sessions
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK, UsageError

SPEC: Final = Spec(
    usage="""\
holdfast send ID TEXT… [-] [--queue | --steer | --interrupt] [--mode MODE]
              [--json]
holdfast send ID --continue [--json]

Give a session a prompt, and leave as soon as it is safe with the daemon. Piped
input, or input asked for with `-`, is appended as a second block.

A run that was interrupted, or failed, holds the prompts behind it; --continue
takes it up in a new run, and they follow.

  --queue       while a run goes on, wait behind it; the default
  --steer       show it to the model before its next step
  --interrupt   cancel the run, then begin with this
  --mode MODE   what its run may do without asking: ask, plan, accept_edits or
                auto
  --continue    take up the session's last run; no prompt
  --json        one JSON document: the session, the prompt, and its status
""",
    flags={
        "--queue": "queue",
        "--steer": "steer",
        "--interrupt": "interrupt",
        "--continue": "continue",
        "--json": "json",
    },
    options={"--mode": "mode"},
    choices={"mode": prompt_input.MODES},
    positionals=(1, None),
    completes="session",
)


def run(arguments: Arguments) -> int:
    """Send, and say where the prompt stands."""
    delivery = arguments.one_of("queue", "steer", "interrupt", "continue") or "queue"
    name, *words = arguments.positionals
    if delivery == "continue":
        return _continue(name, words, arguments)
    content = prompt_input.content(words)
    wire = reach.started().wire
    session_id = sessions.resolve(wire, name)["sessionId"]
    params: dict[str, Any] = {
        "sessionId": session_id,
        "promptId": daemon.new_id(),
        "content": content,
        "delivery": delivery,
        **{name: value for name, value in arguments.options.items() if name == "mode"},
    }
    return _say(session_id, wire.call("session/prompt", params), arguments)


def _continue(name: str, words: list[str], arguments: Arguments) -> int:
    if words or "mode" in arguments.options:
        raise UsageError("--continue takes up the last run as it was: it takes no prompt and no --mode")
    wire = reach.started().wire
    session_id = sessions.resolve(wire, name)["sessionId"]
    begun = wire.call("session/continue", {"sessionId": session_id, "key": daemon.new_id()})
    return _say(session_id, {"status": "started", **begun}, arguments)


def _say(session_id: str, admitted: dict[str, Any], arguments: Arguments) -> int:
    if "json" in arguments.flags:
        print(json.dumps({"sessionId": session_id, **admitted}))
    else:
        print(_told(session_id, admitted))
    return OK


def _told(session_id: str, admitted: dict[str, Any]) -> str:
    match admitted["status"]:
        case "started":
            return f"started {admitted.get('runId', 'a run')} of {session_id}"
        case "queued":
            return f"queued in {session_id}, place {admitted.get('position', '?')}"
        case status:
            return f"{status} in {session_id}"
