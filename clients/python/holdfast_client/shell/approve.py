"""`holdfast approve ID`: allow what a session asks for, or answer its question."""

from typing import Any, Final

from holdfast_client.shell import answering
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import UsageError
from holdfast_client.shell.prompt_input import sendable

SPEC: Final = Spec(
    usage="""\
holdfast approve ID [--once | --session | --always] [--message TEXT] [--json]
holdfast approve ID --option OPTION [--message TEXT] [--json]
holdfast approve ID --values VALUES [--json]

Allow what a session asks for. ID is a request as `holdfast approvals` lists
it, the beginning of one, or the session if it waits for one answer only. What
is allowed, a whole command or the diff of a change, is shown on standard
error; `holdfast approvals ID` shows it before.

  --once            this call only; the default
  --session         and what is like it, in this session
  --always          and what is like it, in this directory; not for commands
                    that no sandbox confines
  --option OPTION   answer a question with one of its options, by its id
  --values VALUES   fill in a form: NAME=VALUE and so on, or a JSON object; of a
                    form with one field, its value
  --message TEXT    say something to the model as well
  --json            one JSON document with the answer that counts
""",
    flags={"--once": "once", "--session": "session", "--always": "always", "--json": "json"},
    options={"--option": "option", "--values": "values", "--message": "message"},
    positionals=(1, 1),
    completes="request",
)


def run(arguments: Arguments) -> int:
    """Answer, and say what counts."""
    scope = arguments.one_of("once", "session", "always")
    option = arguments.options.get("option")
    if option is not None and scope is not None:
        raise UsageError(f"--option and --{scope} exclude each other")
    given: dict[str, Any] = {"outcome": option or "allow"}
    if option is None:
        given["scope"] = scope or "once"
    if "message" in arguments.options:
        given["message"] = sendable(arguments.options["message"])
    if "values" in arguments.options:
        given["values"] = sendable(arguments.options["values"])
    return answering.answer(arguments.positionals[0], given, as_json="json" in arguments.flags, shows=True)
