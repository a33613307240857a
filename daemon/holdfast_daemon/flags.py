"""The command line of `holdfastd`. Every setting can be given with `--set`; the usual ones have their own."""

import argparse
from collections.abc import Iterator
from typing import Final

from holdfast_protocol.settings.key import OFF
from holdfast_protocol.settings.resolve import Flag
from holdfast_protocol.version import VERSION

_ORDER: Final = (
    "Flags go before HOLDFAST_ variables, these before the file; docs/configuration.md lists them."
)


def parser() -> argparse.ArgumentParser:
    """Give the parser; `flags_of` makes settings of what it parsed."""
    made = argparse.ArgumentParser(
        prog="holdfastd",
        description="The daemon that owns AI-agent sessions.",
        epilog=_ORDER,
        allow_abbrev=False,
    )
    _add_places(made)
    _add_settings(made)
    made.add_argument("--version", action="version", version=f"holdfastd {VERSION}")
    return made


def _add_places(made: argparse.ArgumentParser) -> None:
    made.add_argument("--state", metavar="DIR", help="the log and its lock live here")
    made.add_argument("--runtime", metavar="DIR", help="the socket and the discovery record live here")
    made.add_argument(
        "--stdio",
        action="store_true",
        help="serve one client on stdin and stdout; needs --state; no variable counts, no file but --config",
    )
    made.add_argument(
        "--ready-fd", metavar="N", type=int, help="write one JSON line there when clients are served"
    )
    made.add_argument("--config", metavar="FILE", help="read this file; empty for none")


def _add_settings(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--tcp",
        metavar="PORT",
        nargs="?",
        const="0",
        help="listen on loopback too; any free port if none is given",
    )
    made.add_argument(
        "--ws",
        metavar="PORT",
        nargs="?",
        const="0",
        help="listen for WebSockets on loopback; any free port if none is given",
    )
    made.add_argument(
        "--ws-origin",
        metavar="ORIGIN",
        action="append",
        help="let pages of this origin connect, as http://127.0.0.1:8000",
    )
    made.add_argument(
        "--idle-exit", metavar="SECONDS", help="exit after so long without a client and a run; 0 for never"
    )
    made.add_argument(
        "--hook",
        metavar="EVENT=MODULE:FUNCTION",
        action="append",
        help="a Python function that sees each tool call; EVENT is pre_tool_use or post_tool_use",
    )
    made.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="any setting, as net.connections_max=64",
    )


def flags_of(arguments: argparse.Namespace) -> Iterator[Flag]:
    """Yield the settings among the arguments; values are judged where all layers are."""
    for text in arguments.set:
        name, _, value = text.partition("=")
        yield Flag(f"--set {name}", name, value)
    if arguments.tcp is not None:
        yield Flag("--tcp", "listen.tcp", arguments.tcp)
    if arguments.ws is not None:
        yield Flag("--ws", "listen.ws", arguments.ws)
    if arguments.ws_origin is not None:
        yield Flag("--ws-origin", "listen.ws_origins", ",".join(arguments.ws_origin))
    if arguments.idle_exit is not None:
        never = arguments.idle_exit in ("0", "0.0")
        yield Flag("--idle-exit", "daemon.idle_exit_s", OFF if never else arguments.idle_exit)
    if arguments.hook is not None:
        yield Flag("--hook", "hooks", [_hook(text) for text in arguments.hook])


def _hook(text: str) -> dict[str, str]:
    event, _, target = text.partition("=")
    return {"event": event, "target": target}
