"""`holdfast deny ID`: refuse what a session asks for."""

from typing import Any, Final

from holdfast_client.shell import answering
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.prompt_input import sendable

SPEC: Final = Spec(
    usage="""\
holdfast deny ID [--reason TEXT] [--json]

Refuse what a session asks for; its run goes on. ID is a request as `holdfast
approvals` lists it, the beginning of one, or the session if it waits for one
answer only.

  --reason TEXT   tell the model why
  --json          one JSON document with the answer that counts
""",
    flags={"--json": "json"},
    options={"--reason": "reason"},
    positionals=(1, 1),
    completes="request",
)


def run(arguments: Arguments) -> int:
    """Refuse, and say what counts."""
    given: dict[str, Any] = {"outcome": "deny"}
    if "reason" in arguments.options:
        given["message"] = sendable(arguments.options["reason"])
    return answering.answer(arguments.positionals[0], given, as_json="json" in arguments.flags)
