"""A session's tools: the daemon's, those of its plugins and MCP servers, and those that clients run for it.

Of a name a client's counts first, then the daemon's; no extension takes a name of the daemon's.
"""

from typing import Any

import msgspec

from holdfast_daemon.execution.executor import Executor, PreparedCall, ToolRefusal
from holdfast_daemon.extensions.extension_tool import info_of, spec_of
from holdfast_daemon.models.base import ToolSpec
from holdfast_daemon.sessions.extension_slot import ExtensionSlot, tools_of
from holdfast_daemon.tools.client_hosted import HostedTools
from holdfast_protocol.events import Json
from holdfast_protocol.methods.catalogue import ToolInfo


class SessionTools:
    """One session's.

    Args:
        executor: has the daemon's tools.
        slot: has those of extensions.
        hosted: those that clients run.
    """

    def __init__(self, executor: Executor, slot: ExtensionSlot, hosted: HostedTools) -> None:
        self._executor = executor
        self._slot = slot
        self._hosted = hosted

    def prepare(self, tool: str, input_json: str, cwd: str) -> PreparedCall | ToolRefusal:
        """Check a call; see `Executor.prepare`."""
        return self._executor.prepare(tool, input_json, cwd, tools_of(self._slot, self._hosted.tools))

    def is_hosted(self, tool: str) -> bool:
        """Tell whether a client runs it."""
        return tool in self._hosted.tools

    def digest(self, tool: str) -> str | None:
        """Give what changes when the description of an extension's tool does; None of any other tool."""
        extension = self._slot.tools.get(tool)
        return None if extension is None or self.is_hosted(tool) else extension.digest

    def told_of(self, tool: str, match: str | None) -> dict[str, Json]:
        """Give what else a question about an extension's tool says: whose it is, what a refusal covers."""
        extension = self._slot.tools.get(tool)
        if extension is None or self.is_hosted(tool):
            return {}
        return {"origin": extension.origin, "refusal": match}

    def specs(self) -> tuple[ToolSpec, ...]:
        """Give the tools as models are told of them, in a stable order."""
        own = (self._delegating(spec) for spec in self._executor.specs())
        theirs = (spec_of(tool) for tool in self._slot.tools.values())
        return (*self._not_hosted((*own, *theirs)), *self._hosted.specs())

    def _delegating(self, spec: ToolSpec) -> ToolSpec:
        """Name the sub-agents of plugins in the tool that starts them."""
        agents = self._slot.agents() if spec.name == "delegate" else {}
        if not agents:
            return spec
        listed = "\n".join(f"- {agent.name}: {agent.description}" for agent in agents.values())
        description = f"{spec.description}\nBeside `chat` there are:\n{listed}"
        return msgspec.structs.replace(spec, description=description)

    def infos(self) -> tuple[ToolInfo, ...]:
        """Give the tools as clients see them, in the same order."""
        theirs = (info_of(tool) for tool in self._slot.tools.values())
        return (*self._not_hosted((*daemon_tool_infos(self._executor), *theirs)), *self._hosted.infos())

    def _not_hosted(self, named: Any) -> Any:
        return (each for each in named if not self.is_hosted(each.name))


def daemon_tool_infos(executor: Executor) -> tuple[ToolInfo, ...]:
    """Give the daemon's own tools as clients see them."""
    return tuple(
        ToolInfo(
            name=spec.name,
            description=spec.description,
            kind=executor.kind_of(spec.name),
            input_schema=spec.input_schema,
        )
        for spec in executor.specs()
    )
