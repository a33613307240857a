"""The command `holdfastd`: reads flags, runs the daemon, says in one line what went wrong."""

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import Final

import anyio

from holdfast_daemon.app import App
from holdfast_daemon.config import Config, HookSpec
from holdfast_daemon.journal.state_dir import StateDirError, StateInUse
from holdfast_daemon.journal.store import StoreError
from holdfast_daemon.logs import log_to_file
from holdfast_daemon.net.listener import BindError
from holdfast_daemon.net.stdio import StdioError, take_stdio
from holdfast_daemon.process_rights import harden
from holdfast_protocol.discovery import Record, locations
from holdfast_protocol.version import VERSION

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_RETRY: Final = 75  # EX_TEMPFAIL: another daemon holds the state; it may be stopping.


def main() -> None:
    """Run `holdfastd` with the process's arguments; exits 0 after an orderly stop."""
    arguments = _parser().parse_args()
    if arguments.stdio and arguments.state is None:
        _fail("--stdio needs --state DIR: a sidecar has a state directory of its own.", EXIT_USAGE)
    config = _config(arguments)
    _run(config, arguments.ready_fd)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="holdfastd", description="The daemon that owns AI-agent sessions.", allow_abbrev=False
    )
    parser.add_argument("--state", metavar="DIR", help="the log and its lock live here")
    parser.add_argument("--runtime", metavar="DIR", help="the socket and the discovery record live here")
    parser.add_argument(
        "--stdio", action="store_true", help="serve one client on stdin and stdout; needs --state"
    )
    parser.add_argument(
        "--tcp",
        metavar="PORT",
        nargs="?",
        const=0,
        type=_port,
        help="listen on loopback too; any free port if none is given",
    )
    parser.add_argument(
        "--ws",
        metavar="PORT",
        nargs="?",
        const=0,
        type=_port,
        help="listen for WebSockets on loopback; any free port if none is given",
    )
    parser.add_argument(
        "--ws-origin",
        metavar="ORIGIN",
        action="append",
        type=_origin,
        default=[],
        help="let pages of this origin connect, as http://127.0.0.1:8000",
    )
    parser.add_argument(
        "--ready-fd", metavar="N", type=int, help="write one JSON line there when clients are served"
    )
    parser.add_argument(
        "--idle-exit",
        metavar="SECONDS",
        type=float,
        default=600.0,
        help="exit after so long without a client and a run; 0 for never",
    )
    parser.add_argument(
        "--hook",
        metavar="EVENT=MODULE:FUNCTION",
        action="append",
        default=[],
        type=_hook,
        help="a Python function that sees each tool call; EVENT is pre_tool_use or post_tool_use",
    )
    parser.add_argument("--version", action="version", version=f"holdfastd {VERSION}")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is 0 to 65535")
    return port


def _origin(text: str) -> str:
    from holdfast_daemon.net.upgrade import check_origin  # noqa: PLC0415 - a dependency not everybody needs

    try:
        return check_origin(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _hook(text: str) -> HookSpec:
    event, _, target = text.partition("=")
    if event not in ("pre_tool_use", "post_tool_use") or ":" not in target:
        raise argparse.ArgumentTypeError("a hook is pre_tool_use=MODULE:FUNCTION or post_tool_use=…")
    return HookSpec(event=event, target=target)


def _config(arguments: argparse.Namespace) -> Config:
    places = locations(os.environ, str(Path.home()), sys.platform)
    runtime: str | None = arguments.runtime or places.runtime
    if arguments.stdio and arguments.runtime is None:
        runtime = None  # A sidecar has no socket unless asked.
    return Config(
        state_dir=str(Path(arguments.state or places.state).absolute()),
        runtime_dir=str(Path(runtime).absolute()) if runtime else None,
        stdio=arguments.stdio,
        tcp=arguments.tcp,
        ws=arguments.ws,
        ws_origins=tuple(arguments.ws_origin),
        hooks=tuple(arguments.hook),
        idle_exit_s=arguments.idle_exit or None,
    )


def _run(config: Config, ready_fd: int | None) -> None:
    harden()
    try:
        stdio = take_stdio() if config.stdio else None
        Path(config.state_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
        log_to_file(Path(config.state_dir) / "daemon.log")
        anyio.run(_serve, config, ready_fd, stdio)
    except StateInUse as error:
        _fail(str(error), EXIT_RETRY)
    except (StateDirError, StoreError, BindError, StdioError, OSError) as error:
        _fail(str(error), EXIT_FAILED)
    except ExceptionGroup:  # A bug that ended the daemon: whoever looks for it looks into the log.
        logging.getLogger(__name__).exception("the daemon crashed")
        raise


async def _serve(config: Config, ready_fd: int | None, stdio: tuple[int, int] | None) -> None:
    await App(config).run(lambda record: _tell_ready(record, ready_fd), stdio)


def _tell_ready(record: Record, ready_fd: int | None) -> None:
    """Write the record, without the token, for whoever started us."""
    if ready_fd is None:
        return
    public = {name: value for name, value in record.items() if name != "token"}
    with os.fdopen(ready_fd, "w", encoding="utf-8") as file:
        file.write(json.dumps(public) + "\n")


def _fail(message: str, code: int) -> None:
    sys.stderr.write(f"holdfastd: {message}\n")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
