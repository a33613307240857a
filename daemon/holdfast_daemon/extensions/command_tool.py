"""Programs that plugins declare, as tools: only the options on the list, only files below one directory.

Model text never stands where an option can: options are chosen from the list, arguments cannot begin with
`-`. What confines the process is the launcher's; this is what the program is told.
"""

import os
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import msgspec

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.confinement import Confinement
from holdfast_daemon.execution.excerpt import Excerpt
from holdfast_daemon.execution.launcher import Launcher, NotConfined
from holdfast_daemon.execution.process import OutputTooLarge
from holdfast_daemon.extensions.extension_tool import DeclaredTool
from holdfast_daemon.extensions.loader import Scope
from holdfast_daemon.extensions.manifest import CommandEntry
from holdfast_daemon.extensions.program import program_path, source_of
from holdfast_daemon.tools.base import ToolContext, ToolFailure, ToolResult
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Json

ARGUMENTS_MAX: Final = 64
SHOWN_BYTES_MAX: Final = 60 * 1024


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    options: list[str] = []
    arguments: list[str] = []


class CommandTool(DeclaredTool):
    """A declared program. Implements `ExtensionTool`.

    Args:
        entry: what the manifest says.
        plugin: its name.
        folder: its folder.
        scope: whose it is; a project's stays below the session's roots.
        launcher: the daemon's.
        limits: the daemon's.
    """

    def __init__(
        self,
        entry: CommandEntry,
        plugin: str,
        folder: str,
        scope: Scope,
        launcher: Launcher,
        limits: ExecutionLimits,
    ) -> None:
        super().__init__(
            name=entry.name,
            description=entry.description or f"Run {entry.command}; arguments are paths or plain words.",
            input_schema=_schema(entry),
            kind="execute",
            timeout_s=entry.timeout,
            origin=f"plugin {plugin}",
            source=source_of(scope, folder, entry.command, entry.allowed_args, entry.sandbox_path),
        )
        self._entry = entry
        self._folder = folder
        self._scope = scope
        self._launcher = launcher
        self._limits = limits

    def title(self, tool_input: Any) -> str:
        """Show the command."""
        try:
            asked = msgspec.convert(tool_input, _Input)
        except msgspec.ValidationError:
            return self.name
        return f"run {' '.join([self._entry.command, *asked.options, *asked.arguments])}"[:80]

    async def run(self, tool_input: Any, context: ToolContext) -> ToolResult:
        """Run it. A failing program is a result, not a failure.

        Raises:
            ToolFailure: kinds `invalid_input`, `outside_sandbox`, `not_found`, `timeout`, `output_too_large`,
                `no_sandbox`, `tool_failed`.
        """
        place = await anyio.to_thread.run_sync(self._place, context)
        words = await anyio.to_thread.run_sync(self._words, tool_input, place)
        shown = Excerpt(SHOWN_BYTES_MAX)

        async def output(text: str) -> None:
            shown.add(text)
            await context.output(text)

        try:
            with anyio.fail_after(self.timeout_s):
                exit_code = await self._launcher.run(
                    (self._program(context), *words),
                    cwd=place,
                    env=context.env,
                    limits=self._limits,
                    output=output,
                    confinement=Confinement(writable=(place,), hidden=context.hidden, shown=(self._folder,)),
                )
        except TimeoutError as error:
            raise ToolFailure(f"stopped after {self.timeout_s:g} s", kind="timeout") from error
        except OutputTooLarge as error:
            raise ToolFailure(f"killed: {error}", kind="output_too_large") from error
        except NotConfined as error:
            raise ToolFailure(f"commands must be confined here: {error}", kind="no_sandbox") from error
        except OSError as error:
            raise ToolFailure(f"{self.name} could not be started: {error.strerror}") from error
        text = f"exit code {exit_code}\n{shown.text()}".rstrip()
        return ToolResult(content=(TextBlock(text=text),), truncated=shown.cut)

    def _program(self, context: ToolContext) -> str:
        try:
            return program_path(self._entry.command, context.env, self._folder)
        except FileNotFoundError as error:
            raise ToolFailure(str(error), kind="not_found") from error

    def _place(self, context: ToolContext) -> str:
        """Give the directory it runs in, without symlinks."""
        path = self._entry.sandbox_path
        if path == "~" or path.startswith("~/"):
            path = f"{context.env.get('HOME', '/nonexistent')}{path[1:]}"
        place = Path(os.path.realpath(Path(context.cwd, path)))
        if not place.is_dir():
            raise ToolFailure(f"its directory {place} is not there", kind="not_found")
        mine = Path(self._entry.sandbox_path).is_absolute() or self._entry.sandbox_path.startswith("~")
        if not (self._scope == "user" and mine) and not _below(place, context.roots):
            raise ToolFailure(f"its directory {place} is outside the session's roots", kind="outside_sandbox")
        if _below(place, context.hidden):
            raise ToolFailure(f"its directory {place} is the daemon's own", kind="outside_sandbox")
        return str(place)

    def _words(self, tool_input: Any, place: str) -> list[str]:
        try:
            asked = msgspec.convert(tool_input, _Input)
        except msgspec.ValidationError as error:
            raise ToolFailure(str(error), kind="invalid_input") from error
        if len(asked.options) + len(asked.arguments) > ARGUMENTS_MAX:
            raise ToolFailure(f"more than {ARGUMENTS_MAX} arguments", kind="invalid_input")
        for option in asked.options:
            self._check_option(option, place)
        for argument in asked.arguments:
            if argument.startswith("-"):
                raise ToolFailure(
                    f"an argument cannot begin with `-`: {argument[:64]!r}", kind="invalid_input"
                )
            _check_inside(argument, place)
        return [*asked.options, *asked.arguments]

    def _check_option(self, option: str, place: str) -> None:
        if option in self._entry.allowed_args:
            return
        head, equals, value = option.partition("=")
        if not equals or f"{head}=" not in self._entry.allowed_args:
            allowed = ", ".join(self._entry.allowed_args) or "none"
            raise ToolFailure(
                f"the option {option[:64]!r} is not allowed; there are: {allowed}", kind="invalid_input"
            )
        _check_inside(value, place)


def _schema(entry: CommandEntry) -> dict[str, Json]:
    exact: list[Json] = [option for option in entry.allowed_args if not option.endswith("=")]
    valued = [option for option in entry.allowed_args if option.endswith("=")]
    item: dict[str, Json] = {"type": "string"}
    if exact and not valued:
        item["enum"] = exact
    described = f"one of {', '.join(entry.allowed_args)}" if entry.allowed_args else "none are allowed"
    if valued:
        described += "; those that end with = take a value behind it"
    return {
        "type": "object",
        "properties": {
            "options": {"type": "array", "items": item, "description": described},
            "arguments": {
                "type": "array",
                "items": {"type": "string"},
                "description": f"what follows the options; paths are below {entry.sandbox_path}",
            },
        },
        "additionalProperties": False,
    }


def _check_inside(word: str, place: str) -> None:
    """Refuse a word that as a path would lead out of the directory, symlinks followed."""
    if "\0" in word:
        raise ToolFailure("an argument cannot hold a NUL character", kind="invalid_input")
    if not _below(Path(os.path.realpath(Path(place, word))), (place,)):
        raise ToolFailure(f"{word[:128]!r} leads out of {place}", kind="outside_sandbox")


def _below(path: Path, places: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(os.path.realpath(place)) for place in places)
