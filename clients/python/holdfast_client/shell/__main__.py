"""The command line: which subcommand, and how every way of ending becomes an exit code."""

import os
import sys
from typing import Final

from holdfast_client.shell import arguments, commands, exit_codes, streams
from holdfast_protocol.version import VERSION

_PREFERABLE: Final = frozenset({"model", "mode", "color"})
"""Options, by stored names, for which the user may have set something else."""


def main() -> int:
    """Run the command in `sys.argv` and give its exit code."""
    streams.prepare()
    try:
        exit_code = _dispatch(sys.argv[1:])
        sys.stdout.flush()
        sys.stderr.flush()
    except exit_codes.CommandFailed as failure:
        return _fail(failure)
    except BrokenPipeError:
        streams.abandon(1, 2)  # Whoever read our output has gone.
        return exit_codes.OK
    except OSError as error:
        streams.abandon(1)
        return _fail(exit_codes.CommandFailed(f"{error.strerror}: {error.filename or 'standard output'}"))
    except (KeyboardInterrupt, exit_codes.Detached):
        return exit_codes.INTERRUPTED
    return exit_code


def _dispatch(argv: list[str]) -> int:
    name, *rest = argv or ["--"]
    if name in ("-h", "--help"):
        print(commands.overview(), end="")
        return exit_codes.OK
    if name in ("-V", "--version"):
        print(f"holdfast {VERSION}")
        return exit_codes.OK
    if name.startswith("-") or any(character.isspace() for character in name):
        return _run("here", argv)
    if name not in commands.SUMMARIES:
        raise exit_codes.UsageError(
            f"there is no command {name!r}{arguments.meant(name, commands.SUMMARIES)} (see `holdfast help`)"
        )
    return _run(name, rest)


def _run(module: str, argv: list[str]) -> int:
    command = commands.load(module)
    try:
        parsed = arguments.parse(argv, command.SPEC)
    except arguments.HelpWanted:
        print(f"usage: {command.SPEC.usage}", end="")
        return exit_codes.OK
    if not _PREFERABLE.isdisjoint(command.SPEC.options.values()):
        parsed = parsed._replace(preferences=_preferences())
    return command.run(parsed)


def _preferences() -> dict[str, str]:
    from holdfast_client.shell import endpoint, settings  # noqa: PLC0415 - few commands heed any

    return settings.preferences(endpoint.locate().file, os.environ)


def _fail(failure: exit_codes.CommandFailed) -> int:
    from holdfast_client.shell.plain import plain  # noqa: PLC0415 - only after a failure

    try:
        sys.stdout.flush()
        print(f"holdfast: {plain(failure.message)}", file=sys.stderr, flush=True)
    except OSError:
        streams.abandon(1, 2)
    return failure.exit_code


if __name__ == "__main__":
    sys.exit(main())
