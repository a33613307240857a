"""Python functions of plugins as tools: what they are is asked of a worker process, and they run in one.

Nothing of a plugin is imported here.
"""

from typing import Any, Final

import anyio
import msgspec

from holdfast_daemon.execution.confinement import Confinement, own_places
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.extensions.child import ChildPlace
from holdfast_daemon.extensions.extension_tool import DeclaredTool
from holdfast_daemon.extensions.loader import Scope
from holdfast_daemon.extensions.manifest import MANIFEST_NAME, Problem, SkillEntry
from holdfast_daemon.extensions.program import source_of
from holdfast_daemon.extensions.worker_pool import WorkerFailure, WorkerLimits, WorkerPool
from holdfast_daemon.tools.base import ToolContext, ToolFailure, ToolResult
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Json

DESCRIBE_TIMEOUT_S: Final = 15.0
"""For all modules of a plugin to be imported."""

DESCRIBE_ENV: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
_RESERVED: Final = "mcp__"


class Skill(msgspec.Struct, frozen=True, kw_only=True):
    """A function that can be a tool.

    Attributes:
        plugin: the plugin's name.
        folder: the plugin's, absolute.
        target: `package.module:function`.
    """

    plugin: str
    folder: str
    target: str
    name: str
    description: str
    input_schema: dict[str, Json]
    timeout_s: float


class _Described(msgspec.Struct):
    name: str = ""
    description: str = ""
    schema: dict[str, Json] = {}
    error: str | None = None


class _Answer(msgspec.Struct):
    described: list[_Described]


async def describe_skills(
    entries: tuple[SkillEntry, ...], plugin: str, folder: str, launcher: Launcher | None = None
) -> tuple[tuple[Skill, ...], tuple[Problem, ...]]:
    """Import a plugin's functions in a process of its own; say what they are and what is wrong.

    Args:
        entries: of the manifest.
        plugin: its name.
        folder: the plugin's, absolute.
        launcher: the daemon's.
    """
    if not entries:
        return (), ()
    try:
        described = await _described([entry.module for entry in entries], folder, launcher or Launcher())
    except (WorkerFailure, TimeoutError, msgspec.ValidationError) as error:
        message = f"took longer than {DESCRIBE_TIMEOUT_S:g} s to import" if not str(error) else str(error)
        return (), (_problem(folder, entries[0].line, "skills", message),)
    skills: list[Skill] = []
    problems: list[Problem] = []
    for at, (entry, found) in enumerate(zip(entries, described, strict=True)):
        name = entry.name or found.name
        field = f"skills[{at}].module"
        if found.error is not None:
            problems.append(_problem(folder, entry.line, field, found.error))
        elif name.startswith(_RESERVED) or len(name) > 64 or not name.isascii():
            problems.append(
                _problem(folder, entry.line, field, f"`{name[:80]}` cannot be a tool's name; give one")
            )
        elif name in {skill.name for skill in skills}:
            problems.append(
                _problem(folder, entry.line, field, f"the name `{name}` is taken by another skill")
            )
        else:
            skills.append(_skill(entry, found, name, plugin, folder))
    return tuple(skills), tuple(problems)


async def _described(targets: list[str], folder: str, launcher: Launcher) -> list[_Described]:
    confinement = Confinement(readable=own_places())
    place = ChildPlace(cwd=folder, env=DESCRIBE_ENV, confinement=confinement, launcher=launcher)
    request = {"do": "describe", "targets": targets}
    with anyio.fail_after(DESCRIBE_TIMEOUT_S):
        async with WorkerPool(place, WorkerLimits(workers_max=1)) as pool:
            answer = await pool.ask(folder, request, _ignore)
    described = msgspec.convert(answer, _Answer).described
    if len(described) != len(targets):
        raise WorkerFailure("the worker's answer makes no sense")
    return described


async def _ignore(text: str) -> None:
    del text


def _skill(entry: SkillEntry, found: _Described, name: str, plugin: str, folder: str) -> Skill:
    return Skill(
        plugin=plugin,
        folder=folder,
        target=entry.module,
        name=name,
        description=entry.description or found.description or name,
        input_schema=found.schema,
        timeout_s=entry.timeout,
    )


def _problem(folder: str, line: int, field: str, message: str) -> Problem:
    return Problem(file=f"{folder}/{MANIFEST_NAME}", line=line, field=field, message=message)


class SkillTool(DeclaredTool):
    """A skill of one session. Implements `ExtensionTool`.

    Args:
        skill: what it is.
        pool: the session's workers.
        scope: whose its plugin is.
    """

    def __init__(self, skill: Skill, pool: WorkerPool, scope: Scope = "user") -> None:
        super().__init__(
            name=skill.name,
            description=skill.description,
            input_schema=skill.input_schema,
            kind="other",
            timeout_s=skill.timeout_s,
            origin=f"plugin {skill.plugin}",
            source=source_of(scope, skill.folder, skill.target),
        )
        self._skill = skill
        self._pool = pool

    async def run(self, tool_input: Any, context: ToolContext) -> ToolResult:
        """Run the function in a worker; what it prints is output, what it returns is the result.

        Raises:
            ToolFailure: kinds `invalid_input`, `timeout`, `output_too_large`, `tool_failed`.
        """
        request = {"do": "call", "target": self._skill.target, "input": tool_input}
        try:
            with anyio.fail_after(self.timeout_s):
                answer = await self._pool.ask(self._skill.folder, request, context.output)
        except TimeoutError as error:
            raise ToolFailure(f"stopped after {self.timeout_s:g} s", kind="timeout") from error
        except WorkerFailure as error:
            raise ToolFailure(f"{self.name}: {error}", kind=error.kind) from error
        match answer:
            case {"result": str(text)}:
                return ToolResult(content=(TextBlock(text=text),))
            case {"error": str(message), "kind": str(kind)}:
                raise ToolFailure(message, kind=kind)
            case _:
                raise ToolFailure(f"{self.name}: the worker's answer makes no sense")
