"""One session's plugins and MCP servers: found at its first run, ended with its task.

    project → (trust, see `run_setup`) → plugins → servers, workers, hooks

A task of its own enters and leaves them, so that whoever asks for them may be cancelled without harm.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.abc import TaskGroup

from holdfast_daemon.execution.hooks import HookReport, Hooks
from holdfast_daemon.sessions.extensions import Extensions
from holdfast_daemon.tools.base import Tool
from holdfast_protocol.content import ContentBlock
from holdfast_protocol.errors import Draining, InvalidParams
from holdfast_protocol.methods.extension import McpServerSpec

if TYPE_CHECKING:
    from holdfast_daemon.agents.base import Agent
    from holdfast_daemon.extensions.extension_tool import ExtensionTool
    from holdfast_daemon.extensions.mcp_values import Elicit
    from holdfast_daemon.extensions.plugins import ProjectExtensions
    from holdfast_daemon.extensions.session_extensions import SessionExtensions, SessionPlace
    from holdfast_daemon.extensions.slash_commands import SessionCommand

SETTLE_S: Final = 10.0
"""How long a run waits for MCP servers to come up; those that need longer offer their tools later."""


class ExtensionSlot:
    """See the module.

    Args:
        extensions: the daemon's.
        place: gives where the session is.
        servers: MCP servers its client asked for.
        taken: names no extension's tool may have.
        elicit: asks the session's people.
        busy: tells whether a run is active: what it uses stays as it is.

    Attributes:
        declined: somebody said no to trusting the project; not asked again until the session is loaded anew.
        found: what there is for the session; None until the first run.
    """

    def __init__(
        self,
        extensions: Extensions,
        place: "Callable[[], SessionPlace]",
        servers: tuple[McpServerSpec, ...],
        taken: Iterable[str],
        elicit: "Elicit",
        busy: Callable[[], bool],
    ) -> None:
        self.declined = False
        self.found: ProjectExtensions | None = None
        self._extensions = extensions
        self._place = place
        self._servers = servers
        self._taken = frozenset(taken)
        self._elicit = elicit
        self._busy = busy
        self._tasks: TaskGroup | None = None
        self._opening = anyio.Lock()
        self._generation = -1
        self._current: SessionExtensions | None = None
        self._leave = anyio.Event()
        self._left = anyio.Event()

    @property
    def opening(self) -> bool:
        """Whether somebody waits for it to be found and started."""
        return self._opening.locked()

    def attach(self, tasks: TaskGroup) -> None:
        """Say where the owning task runs: it ends when these tasks do."""
        self._tasks = tasks

    @property
    def tools(self) -> "Mapping[str, ExtensionTool]":
        """The tools there are now, by name."""
        return self._current.tools() if self._current is not None else {}

    @property
    def current(self) -> "SessionExtensions | None":
        """What is open; None before the first run, and where nothing was found."""
        return self._current

    def hooks(self, own: Hooks) -> "SlotHooks":
        """Give the daemon's hooks, then those of the session's plugins."""
        return SlotHooks(own, self)

    def agents(self) -> "dict[str, Agent[Any]]":
        """Give the agents of plugins there are now, by name."""
        if self.found is None or not self.found.plugins:
            return {}
        from holdfast_daemon.agents.plugin_agents import agents_of  # noqa: PLC0415 - where there are plugins

        place = self._current.agent_place if self._current is not None else None
        return agents_of(self.found.plugins, place)

    async def commands(self, *, of_servers: bool = True) -> "tuple[SessionCommand, ...]":
        """Give the slash commands: of the user, the project, plugins, and servers, which are waited for."""
        found = await self.open(settled=of_servers)
        return (*found.commands, *(self._current.commands() if self._current is not None else ()))

    async def expand(self, text: str) -> tuple[ContentBlock, ...] | None:
        """Give what a text that begins with a command stands for; None if it begins with none.

        Raises:
            InvalidParams: the command can be made no prompt of.
        """
        from holdfast_daemon.extensions.slash_commands import CommandFailure  # noqa: PLC0415 - loaded by now

        name, _, words = text.removeprefix("/").partition(" ")
        for command in await self.commands(of_servers=":" in name):  # The session's other calls wait here.
            if command.name == name.strip():
                try:
                    return await command.content(words.strip())
                except CommandFailure as failure:
                    raise InvalidParams(str(failure), path="$.content[0].text") from None
        return None

    async def open(self, *, for_run: bool = False, settled: bool = True) -> "ProjectExtensions":
        """Find what there is and start it, or start it anew if that changed; returns what was found.

        Args:
            for_run: a run begins; else nothing is ended that a run may be using.
            settled: wait for MCP servers, `SETTLE_S` at the most.
        """
        async with self._opening:
            changed = self._generation != self._extensions.generation
            if self.found is None or (changed and (for_run or not self._busy())):
                await self._renew()
            found = self.found
            assert found is not None
        if settled and self._current is not None:
            await self._current.mcp.settled(SETTLE_S)
        return found

    async def close(self) -> None:
        """End what is open, unless a run uses it; whoever asks next has it started anew."""
        async with self._opening:
            if not self._busy():
                await self._close()
                self.found = None

    async def _renew(self) -> None:
        """Start anew. Until all is done nothing is found: a renewal that is cancelled is begun again."""
        self.found = None
        generation = self._extensions.generation
        await self._close()
        place = self._place()
        found = await self._extensions.plugins.of(place.cwd)
        if found.plugins or self._extensions.declarations(self._servers):
            await self._enter(place, found)
        self.found, self._generation = found, generation

    async def _enter(self, place: "SessionPlace", found: "ProjectExtensions") -> None:
        entered = anyio.Event()
        self._leave, self._left = anyio.Event(), anyio.Event()
        assert self._tasks is not None
        with anyio.CancelScope(shield=True):  # Whoever asks may go; the owner of what was begun is known.
            self._tasks.start_soon(self._own, place, found, entered)
            await entered.wait()
        if self._current is None:
            raise Draining("The session is being unloaded.")

    async def _close(self) -> None:
        if self._current is not None:
            self._leave.set()
            await self._left.wait()

    async def _own(self, place: "SessionPlace", found: "ProjectExtensions", entered: anyio.Event) -> None:
        declared = self._extensions.declarations(self._servers)
        shared = self._extensions.open(place, found.plugins, declared, self._taken, self._elicit)
        left = self._left
        try:
            async with shared:
                self._current = shared
                entered.set()
                await self._leave.wait()
                self._current = None
        finally:
            self._current = None
            left.set()
            entered.set()  # It may never have come to that.


class SlotHooks:
    """The daemon's hooks and a session's, as one; what plugins bring changes with the slot.

    Args:
        own: the daemon's.
        slot: the session's.
    """

    def __init__(self, own: Hooks, slot: ExtensionSlot) -> None:
        self._own = own
        self._slot = slot

    def wanted(self, event: Any, tool: str | None) -> bool:
        """Tell whether any hook wants to see this; `tool` is None where no tool is concerned."""
        if tool is not None and self._own.wanted(event, tool):
            return True
        current = self._slot.current
        return current is not None and current.hooks.wanted(event, tool)

    async def run(self, event: Any, call: dict[str, Any]) -> list[HookReport]:
        """Run them one after the other; each sees what the one before made of the call."""
        current = self._slot.current
        if current is None:
            return await self._own.run(event, call)
        if "tool" not in call:  # The daemon's own hooks see tool calls alone.
            return await current.hooks.run(event, call)
        from holdfast_daemon.extensions.external_hooks import HookChain  # noqa: PLC0415 - where there are some

        return await HookChain(self._own, current.hooks).run(event, call)


def tools_of(slot: ExtensionSlot, hosted: Mapping[str, Tool]) -> Mapping[str, Tool]:
    """Give the tools of extensions and, in their place, those that clients run."""
    return {**slot.tools, **hosted} if slot.tools else hosted
