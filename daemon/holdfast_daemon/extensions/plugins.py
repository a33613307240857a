"""The plugins there are: read when first asked for, kept until a reload.

Nothing below a project is opened before the project is trusted. Reading runs no code of a plugin; its skills
and its agents' classes are described by processes of their own. Whoever asks waits for the places he asks
for, and for no other.
"""

import os
from pathlib import Path
from typing import Final, Literal
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread
import msgspec

from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.extensions.agent_classes import AgentClass, describe_agents
from holdfast_daemon.extensions.loader import Plugin, Scope, load_plugins
from holdfast_daemon.extensions.manifest import MANIFEST_NAME, Problem
from holdfast_daemon.extensions.skills import Skill, describe_skills
from holdfast_daemon.extensions.slash_commands import SlashCommand, all_commands, commands_in, commands_of
from holdfast_daemon.extensions.trust import FOLDER, Trust

PROJECTS_MAX: Final = 64
"""Projects whose plugins are kept; the one not asked for for longest is read again."""

DESCRIBED_AT_ONCE: Final = 4
"""Plugins of one place whose processes run at once."""

PLACE_TIMEOUT_S: Final = 30.0
"""For all plugins of one place to be described."""


class LoadedPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin, its skills and its agents' classes.

    Attributes:
        problems: of the folder, its skills and its classes; what has one is off.
    """

    plugin: Plugin
    skills: tuple[Skill, ...]
    problems: tuple[Problem, ...]
    agents: tuple[AgentClass, ...] = ()

    @property
    def status(self) -> Literal["loaded", "partly", "failed"]:
        """How much of it is there."""
        if self.plugin.manifest is None:
            return "failed"
        return "partly" if self.problems else "loaded"


class ProjectExtensions(msgspec.Struct, frozen=True, kw_only=True):
    """All a session in one directory gets.

    Attributes:
        project: the project's directory.
        trusted: whether what is below it was read.
        plugins: the user's, then the project's.
        commands: one of each name, by name.
    """

    project: str
    trusted: bool
    plugins: tuple[LoadedPlugin, ...]
    commands: tuple[SlashCommand, ...]


class Plugins:
    """The user's and the projects' plugins.

    Args:
        config_dir: holds `plugins/` and `commands/`.
        trust: decides about projects.
        launcher: the daemon's, for processes that describe what it brings.
        place_timeout_s: see `PLACE_TIMEOUT_S`.
    """

    def __init__(
        self,
        config_dir: Path,
        trust: Trust,
        launcher: Launcher | None = None,
        *,
        place_timeout_s: float = PLACE_TIMEOUT_S,
    ) -> None:
        self._config_dir = config_dir
        self._trust = trust
        self._launcher = launcher
        self._place_timeout_s = place_timeout_s
        self._kept: dict[str, tuple[LoadedPlugin, ...]] = {}  # By place; the last one used comes last.
        self._reading: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()  # By place, while wanted.

    async def of(self, cwd: str) -> ProjectExtensions:
        """Give what a session in a directory gets."""
        project = (await self._trust.project(cwd)).path
        trusted = await self._trust.is_trusted(project)
        plugins = await self._loaded(self._config_dir / "plugins", "user")
        user = await anyio.to_thread.run_sync(commands_in, self._config_dir / "commands", "user")
        theirs: tuple[SlashCommand, ...] = ()
        if trusted:
            folder = Path(project, FOLDER)
            plugins += await self._loaded(folder / "plugins", "project")
            theirs = await anyio.to_thread.run_sync(commands_in, folder / "commands", "project")
        commands = all_commands(user, commands_of(loaded.plugin for loaded in plugins), theirs)
        return ProjectExtensions(project=project, trusted=trusted, plugins=plugins, commands=commands)

    def forget(self) -> None:
        """Read all plugins again when they are next asked for (`plugin/reload`)."""
        self._kept = {}

    async def _loaded(self, place: Path, scope: Scope) -> tuple[LoadedPlugin, ...]:
        key = os.fspath(place)
        async with self._reading.setdefault(key, anyio.Lock()):
            kept = self._kept  # A reload puts another in its place: what was read before it is not kept.
            found = kept.pop(key, None)
            if found is None:
                plugins = await anyio.to_thread.run_sync(load_plugins, place, scope)
                found = await self._all_described(plugins)
            kept[key] = found
            while len(kept) > PROJECTS_MAX:
                del kept[next(iter(kept))]
        return found

    async def _all_described(self, plugins: tuple[Plugin, ...]) -> tuple[LoadedPlugin, ...]:
        """Describe them beside each other; those that are not done in time have a problem that says so."""
        turns = anyio.CapacityLimiter(DESCRIBED_AT_ONCE)
        found: dict[str, LoadedPlugin] = {}

        async def describe(plugin: Plugin) -> None:
            async with turns:
                found[plugin.folder] = await self._described(plugin)

        with anyio.move_on_after(self._place_timeout_s):
            async with anyio.create_task_group() as group:
                for plugin in plugins:
                    group.start_soon(describe, plugin)
        return tuple(found.get(plugin.folder) or self._given_up(plugin) for plugin in plugins)

    async def _described(self, plugin: Plugin) -> LoadedPlugin:
        if plugin.manifest is None:
            return LoadedPlugin(plugin=plugin, skills=(), problems=plugin.problems)
        manifest, place = plugin.manifest, (plugin.name, plugin.folder, self._launcher)
        skills, of_skills = await describe_skills(manifest.skills, *place)
        agents, of_agents = await describe_agents(manifest.agents, *place)
        return LoadedPlugin(plugin=plugin, skills=skills, agents=agents, problems=(*of_skills, *of_agents))

    def _given_up(self, plugin: Plugin) -> LoadedPlugin:
        message = (
            "its functions and classes are off: describing all plugins of the folder took longer than "
            f"{self._place_timeout_s:g} s"
        )
        problem = Problem(file=f"{plugin.folder}/{MANIFEST_NAME}", message=message)
        return LoadedPlugin(plugin=plugin, skills=(), problems=(*plugin.problems, problem))
