"""`holdfast stop`: ask the daemon to end, and wait until it has. Signals no process."""

import json
import sys
from typing import Any, Final

from holdfast_client.shell import endpoint
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import FAILED, INTERRUPTED, OK, CommandFailed, NotRunning
from holdfast_client.shell.wire import ConnectionLost, Wire

SPEC: Final = Spec(
    usage="""\
holdfast stop [--now] [--json]

Stop the daemon when its runs have ended; it takes no new ones meanwhile.
Sessions are kept. It is asked to end; no process is killed.

  --now    interrupt what runs; `holdfast send ID --continue` takes it up again
  --json   one JSON document: {"stopped": true, "pid": …, "successorPid": …}
""",
    flags={"--now": "now", "--json": "json"},
)

_WAIT_S: Final = 3600.0


def run(arguments: Arguments) -> int:
    """Stop the daemon that answers on the socket, and no other."""
    locations, client_id = endpoint.locate(), endpoint.new_client_id()
    connection = endpoint.connect(locations, client_id)
    pid = connection.server.get("pid")
    try:
        _ask(connection.wire, now="now" in arguments.flags)
        _wait_until_closed(connection.wire)
    except KeyboardInterrupt:
        print(
            "no longer waiting; the daemon ends with its runs (`holdfast stop --now` ends it now)",
            file=sys.stderr,
        )
        return INTERRUPTED
    successor = _who_answers(locations, client_id) or {}
    if successor.get("instanceId", "") == connection.server.get("instanceId"):
        raise CommandFailed(
            f"the daemon (pid {pid}) closed the connection but still answers", FAILED, "not_stopped"
        )
    _tell(pid, successor.get("pid"), as_json="json" in arguments.flags)
    return OK


def _tell(pid: int | None, successor_pid: int | None, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"stopped": True, "pid": pid, "successorPid": successor_pid}))
    elif successor_pid is None:
        print(f"daemon stopped (pid {pid})")
    else:
        print(f"daemon stopped (pid {pid}); another one answers (pid {successor_pid})")


def _ask(wire: Wire, *, now: bool) -> None:
    """Ask for the end; a daemon that closes before it answers has ended too."""
    try:
        if now:
            active = wire.call("daemon/shutdown", {})["activeRuns"]
        else:
            active = wire.call("daemon/drain", {})["activeRuns"]
    except ConnectionLost:
        return
    if active:
        what = "interrupting" if now else "waiting for"
        print(f"{what} {active} {'run' if active == 1 else 'runs'}", file=sys.stderr, flush=True)


def _wait_until_closed(wire: Wire) -> None:
    """Wait as long as it takes: a drain has no deadline."""
    while True:
        try:
            wire.fill(_WAIT_S)
            while wire.take() is not None:
                pass  # Notifications; all we wait for is the end.
        except TimeoutError:
            continue
        except ConnectionLost:
            return


def _who_answers(locations: endpoint.discovery.Locations, client_id: str) -> dict[str, Any] | None:
    try:
        connection = endpoint.connect(locations, client_id)
    except NotRunning:
        return None
    connection.wire.close()
    return connection.server
