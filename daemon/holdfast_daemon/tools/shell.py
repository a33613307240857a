"""The `shell` tool: one command, which may change the session's directories and reach nothing else.

Who may run one is the gate's matter, what confines it is `execution.sandbox`'s.
"""

import contextlib
import os
import signal
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.confinement import Confinement
from holdfast_daemon.execution.excerpt import Excerpt
from holdfast_daemon.execution.launcher import Launcher, NotConfined
from holdfast_daemon.execution.process import OutputTooLarge
from holdfast_daemon.tools.base import ToolContext, ToolFailure, ToolResult
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Location, ToolKind

SHOWN_BYTES_MAX: Final = 60 * 1024
"""Under `ExecutionLimits.result_bytes_max`, so that the exit code and the output are one result."""

_SHELLS: Final = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash")  # Fixed: PATH is the session's.
_TITLE_CHARS_MAX: Final = 80


class ShellInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to run, and for how long."""

    command: Annotated[
        str, Meta(min_length=1, max_length=100_000, description="run by bash or sh, without a terminal")
    ]
    timeout_s: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="seconds; the command is stopped after that")
    ] = None


class ShellTool:
    """Runs a command in the session's directory; what it leaves in the background ends with it.

    Args:
        limits: of the daemon.
        launcher: of the daemon.
    """

    name = "shell"
    description = (
        "Run a shell command in the working directory. Gives the exit code and the output, stdout and stderr "
        "together; of long output the beginning and the end. Background processes end with the command."
    )
    kind: ToolKind = "execute"
    input_type: type[msgspec.Struct] = ShellInput

    def __init__(self, limits: ExecutionLimits, launcher: Launcher | None = None) -> None:
        self._limits = limits
        self._launcher = launcher or Launcher()
        self._argv = _shell_argv()

    def title(self, tool_input: ShellInput) -> str:
        """Show the command's first line."""
        first, *rest = tool_input.command.strip().splitlines() or [""]
        cut = rest or len(first) > _TITLE_CHARS_MAX
        return f"run {first[:_TITLE_CHARS_MAX]}{' …' if cut else ''}"

    def locations(self, tool_input: ShellInput, cwd: str) -> tuple[Location, ...]:
        """Give none: a command may touch anything."""
        del tool_input, cwd
        return ()

    async def run(self, tool_input: ShellInput, context: ToolContext) -> ToolResult:
        """Run the command. A failing command is a result, not a failure.

        Raises:
            ToolFailure: kinds `not_found` (the directory is gone), `output_too_large`, `no_sandbox`,
                `tool_failed`.
        """
        if "\0" in tool_input.command:
            raise ToolFailure("a command cannot hold a NUL character", kind="invalid_input")
        shown = Excerpt(SHOWN_BYTES_MAX)

        async def output(text: str) -> None:
            shown.add(text)
            await context.output(text)

        argv = (*self._argv, tool_input.command)
        try:
            exit_code = await self._launcher.run(
                argv,
                cwd=context.cwd,
                env=context.env,
                limits=self._limits,
                output=output,
                confinement=Confinement(writable=context.roots, hidden=context.hidden),
            )
        except OutputTooLarge as error:
            raise ToolFailure(f"killed: {error}", kind="output_too_large") from error
        except NotConfined as error:
            raise ToolFailure(f"commands must be confined here: {error}", kind="no_sandbox") from error
        except OSError as error:
            raise _start_failure(context.cwd, error) from error
        return ToolResult(content=(TextBlock(text=_report(exit_code, shown)),), truncated=shown.cut)


def _shell_argv() -> tuple[str, ...]:
    for path in _SHELLS:
        if os.access(path, os.X_OK):
            return (path, "--noprofile", "--norc", "-c", "--")
    return ("/bin/sh", "-c", "--")


def _report(exit_code: int, shown: Excerpt) -> str:
    text = shown.text()
    return f"{_ending(exit_code)}\n{text}" if text else f"{_ending(exit_code)}, no output"


def _ending(exit_code: int) -> str:
    if 128 < exit_code < 128 + signal.NSIG:
        with contextlib.suppress(ValueError):  # What shells and sandboxes make of a signal.
            return f"exit code {exit_code} (as of {signal.Signals(exit_code - 128).name})"
    if exit_code >= 0:
        return f"exit code {exit_code}"
    name = f"signal {-exit_code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-exit_code).name
    return f"ended by {name}"


def _start_failure(cwd: str, error: OSError) -> ToolFailure:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ToolFailure(f"the working directory {cwd} is gone", kind="not_found")
    return ToolFailure(f"the command could not be started: {error.strerror}")
