"""The command `holdfastd`: reads flags, runs the daemon, says in one line what went wrong."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

import anyio

from holdfast_daemon import config_sources, flags
from holdfast_daemon.app import App
from holdfast_daemon.config import Config
from holdfast_daemon.journal.state_dir import StateDirError, StateInUse
from holdfast_daemon.journal.store import StoreError
from holdfast_daemon.logs import log_to_file
from holdfast_daemon.net.listener import BindError
from holdfast_daemon.net.stdio import StdioError, take_stdio
from holdfast_daemon.process_rights import harden
from holdfast_protocol.discovery import Record, locations
from holdfast_protocol.settings.resolve import BadSettings

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_CONFIG: Final = 78  # EX_CONFIG: file or environment say what cannot be; starting again will not help.
EXIT_RETRY: Final = 75  # EX_TEMPFAIL: another daemon holds the state; it may be stopping.


def main() -> None:
    """Run `holdfastd` with the process's arguments; exits 0 after an orderly stop."""
    parser = flags.parser()
    arguments = parser.parse_args()
    if arguments.stdio and arguments.state is None:
        _fail("--stdio needs --state DIR: a sidecar has a state directory of its own.", EXIT_USAGE)
    try:
        config = _config(arguments)
    except BadSettings as error:
        layers = {problem.place[:2] for problem in error.problems}
        _fail(str(error), EXIT_USAGE if layers == {"--"} else EXIT_CONFIG)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}", EXIT_CONFIG)
    _run(config, arguments.ready_fd)


def _config(arguments: argparse.Namespace) -> Config:
    places = locations(os.environ, str(Path.home()), sys.platform)
    runtime: str | None = arguments.runtime or places.runtime
    environ: Mapping[str, str] = os.environ
    file: str | None = arguments.config if arguments.config is not None else places.file
    if arguments.stdio:
        # A sidecar belongs to the program that starts it: nothing of the user's own daemon concerns it.
        runtime, environ, file = arguments.runtime, {}, arguments.config
    return config_sources.load(
        Path(file).absolute() if file else None,
        environ,
        list(flags.flags_of(arguments)),
        must_exist=arguments.config is not None,
        state_dir=str(Path(arguments.state or places.state).absolute()),
        runtime_dir=str(Path(runtime).absolute()) if runtime else None,
        stdio=arguments.stdio,
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


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"holdfastd: {message}\n")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
