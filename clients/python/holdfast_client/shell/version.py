"""`holdfast version`: of this command, of the daemon, of the protocol."""

import json
from typing import Any, Final

from holdfast_client.shell import endpoint
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK, CommandFailed
from holdfast_protocol.version import PROTOCOL_VERSIONS, VERSION

SPEC: Final = Spec(
    usage="""\
holdfast version [--json]

Print the versions of this command, of the protocol it speaks, and of the
daemon if one runs.

  --json   one JSON document: {"client": …, "daemon": … or null}
""",
    flags={"--json": "json"},
)


def run(arguments: Arguments) -> int:
    """Print versions; a daemon that does not run, or does not serve us, is no error."""
    client = {"version": VERSION, "protocolVersions": PROTOCOL_VERSIONS}
    server: dict[str, Any] | None = None
    reason = ""
    try:
        server = endpoint.connect(endpoint.locate(), endpoint.new_client_id()).server
    except CommandFailed as failure:
        reason = failure.message
    if "json" in arguments.flags:
        print(json.dumps({"client": client, "daemon": server}))
        return OK
    print(f"holdfast {VERSION} (protocol {', '.join(map(str, PROTOCOL_VERSIONS))})")
    print(f"daemon   {server['version']}, pid {server['pid']}" if server else reason)
    return OK
