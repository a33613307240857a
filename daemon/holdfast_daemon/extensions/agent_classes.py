"""Classes of plugins that drive runs: a process says what they are, and whether their contexts fit them.

Nothing of a plugin is imported here, and nothing of ours that knows what an agent is: the process does.
"""

from collections.abc import Sequence
from typing import Final

import anyio
import msgspec

from holdfast_daemon.execution.confinement import Confinement, own_places
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.extensions.child import ChildPlace
from holdfast_daemon.extensions.manifest import MANIFEST_NAME, AgentEntry, Problem
from holdfast_daemon.extensions.skills import DESCRIBE_ENV, DESCRIBE_TIMEOUT_S
from holdfast_daemon.extensions.worker_pool import WorkerFailure, WorkerLimits, WorkerPool
from holdfast_protocol.events import Json, Mode

_WORKER: Final = "holdfast_daemon.agents.agent_worker"


class AgentClass(msgspec.Struct, frozen=True, kw_only=True):
    """A class that can drive runs.

    Attributes:
        plugin: the plugin's name.
        folder: the plugin's, absolute.
        name: as the manifest has it.
        target: `package.module:Class`.
        context: what it is made with; it was checked.
        model: takes the place of the session's.
        tools: patterns of the tools it may use; None: all.
        mode: narrows the session's.
    """

    plugin: str
    folder: str
    name: str
    description: str
    target: str
    context: dict[str, Json]
    model: str | None = None
    tools: tuple[str, ...] | None = None
    mode: Mode | None = None


class _Described(msgspec.Struct):
    description: str = ""
    error: str | None = None
    path: str | None = None


class _Answer(msgspec.Struct):
    described: list[_Described]


async def describe_agents(
    entries: Sequence[AgentEntry], plugin: str, folder: str, launcher: Launcher | None = None
) -> tuple[tuple[AgentClass, ...], tuple[Problem, ...]]:
    """Import a plugin's agent classes in a process of its own; say what they are and what is wrong.

    Args:
        entries: of the manifest; those without a class are passed over.
        plugin: its name.
        folder: the plugin's, absolute.
        launcher: the daemon's.
    """
    classes = [(at, entry) for at, entry in enumerate(entries) if entry.target is not None]
    if not classes:
        return (), ()
    try:
        described = await _described([entry for _, entry in classes], folder, launcher or Launcher())
    except (WorkerFailure, TimeoutError, msgspec.ValidationError) as error:
        message = str(error) or f"took longer than {DESCRIBE_TIMEOUT_S:g} s to import"
        return (), (_problem(folder, classes[0][1].line, "agents", message),)
    found: list[AgentClass] = []
    problems: list[Problem] = []
    for (at, entry), said in zip(classes, described, strict=True):
        if said.error is None:
            found.append(_class(entry, said.description, plugin, folder))
        elif said.path is None:
            problems.append(_problem(folder, entry.line, f"agents[{at}].{entry.target_key}", said.error))
        else:
            line = _line(entry, said.path)
            problems.append(_problem(folder, line, f"agents[{at}].context{said.path}", said.error))
    return tuple(found), tuple(problems)


async def _described(entries: list[AgentEntry], folder: str, launcher: Launcher) -> list[_Described]:
    confinement = Confinement(readable=own_places())
    place = ChildPlace(cwd=folder, env=DESCRIBE_ENV, confinement=confinement, launcher=launcher)
    agents = [{"target": entry.target, "context": entry.context or {}} for entry in entries]
    with anyio.fail_after(DESCRIBE_TIMEOUT_S):
        async with WorkerPool(place, WorkerLimits(workers_max=1), _WORKER) as pool:
            answer = await pool.ask(folder, {"do": "describe", "agents": agents}, _ignore)
    described = msgspec.convert(answer, _Answer).described
    if len(described) != len(entries):
        raise WorkerFailure("the worker's answer makes no sense")
    return described


async def _ignore(text: str) -> None:
    del text


def _class(entry: AgentEntry, description: str, plugin: str, folder: str) -> AgentClass:
    assert entry.target is not None
    return AgentClass(
        plugin=plugin,
        folder=folder,
        name=entry.name,
        description=entry.description or description or entry.name,
        target=entry.target,
        context=entry.context or {},
        model=entry.model_override,
        tools=entry.tools,
        mode=entry.mode,
    )


def _line(entry: AgentEntry, path: str) -> int:
    """Give the line of a place in the context, or of the nearest one around it."""
    while path and path not in entry.context_lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return entry.context_lines.get(path, entry.line)


def _problem(folder: str, line: int, field: str, message: str) -> Problem:
    return Problem(file=f"{folder}/{MANIFEST_NAME}", line=line, field=field, message=message)
