"""`holdfast status`: a look at the daemon."""

import json
from typing import Any, Final

from holdfast_client.shell import endpoint, figures
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK, NotRunning
from holdfast_client.shell.plain import plain

SPEC: Final = Spec(
    usage="""\
holdfast status [--json]

Look at the daemon: whether it runs, where it listens, what it does. Exit code
69 if none runs.

  --json   one JSON document with "running" and, if so, the daemon's figures
""",
    flags={"--json": "json"},
)


def run(arguments: Arguments) -> int:
    """Print the daemon's status."""
    try:
        wire = endpoint.connect(endpoint.locate(), endpoint.new_client_id()).wire
    except NotRunning as absent:
        print(json.dumps({"running": False}) if "json" in arguments.flags else absent.message)
        return absent.exit_code
    status = wire.call("daemon/status", {})
    if "json" in arguments.flags:
        print(json.dumps({"running": True, **status}))
    else:
        print("\n".join(f"{name:<10}{plain(text)}" for name, text in _lines(status)))
    return OK


def _lines(status: dict[str, Any]) -> list[tuple[str, str]]:
    server, sessions, net = status["server"], status["sessions"], status["net"]
    hub, journal = status["hub"], status["journal"]
    halted = f", {journal['halted']} sessions halted" if journal["halted"] else ""
    lagging = f", {hub['lagging']} of them behind" if hub["lagging"] else ""
    return [
        ("daemon", f"{server['version']}, pid {server['pid']}, {status['state']}"),
        ("up", figures.duration(status["uptimeMs"])),
        ("memory", figures.size(status["rssBytes"])),
        *(("listens", endpoint) for endpoint in status["endpoints"]),
        ("sandbox", status["sandbox"]),
        ("sessions", f"{sessions['loaded']} loaded, {sessions['activeRuns']} running"),
        ("clients", f"{net['connections']} connected, {hub['subscribers']} subscriptions{lagging}"),
        ("events", f"{hub['published']:,} published, {hub['delivered']:,} delivered"),
        ("journal", f"{journal['committed']:,} events, {journal['sqlite']}{halted}"),
    ]
