"""`holdfast socket`: where the daemon listens, for whoever wants to connect by themselves."""

import json
from typing import Any, Final

from holdfast_client.shell import endpoint, reach
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK, Unreachable

SPEC: Final = Spec(
    usage="""\
holdfast socket [--no-spawn] [--json]

Print where the daemon listens: the path of its unix socket, else HOST:PORT.
The daemon is started if none runs. Whoever connects needs its token, which is
in the record that --json names; `holdfast rpc` needs neither.

  --no-spawn   start none; exit code 69 if none runs
  --json       one JSON document: {"unix": …, "tcp": …, "ws": …, "record": …,
               "pid": …, "instanceId": …, "version": …}
""",
    flags={"--no-spawn": "no-spawn", "--json": "json"},
)


def run(arguments: Arguments) -> int:
    """Print the endpoint of a daemon that answers there."""
    connection = reach.running() if "no-spawn" in arguments.flags else reach.started()
    path = endpoint.locate().record
    record = endpoint.read_record(path)
    if "json" in arguments.flags:
        places = {name: record.get(name) for name in ("unix", "tcp", "ws")}
        who = {name: connection.server[name] for name in ("pid", "instanceId", "version")}
        print(json.dumps({**places, "record": path, **who}))
    else:
        print(_place(record))
    return OK


def _place(record: dict[str, Any]) -> str:
    match record:
        case {"unix": str(path)}:
            return path
        case {"tcp": [host, port]}:
            return f"{host}:{port}"
        case _:
            raise Unreachable("the discovery record names no endpoint that can be used")
