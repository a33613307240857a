"""The agents that plugins bring: prompts, which the chat loop drives, and classes.

Imports the extensions: import it where there are plugins.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from holdfast_daemon.agents.base import Agent
from holdfast_daemon.agents.chat import ChatAgent, ChatContext
from holdfast_daemon.agents.plugin_agent import PluginAgent
from holdfast_daemon.extensions.child import ChildPlace
from holdfast_daemon.extensions.manifest import AgentEntry
from holdfast_daemon.extensions.plugins import LoadedPlugin


def agents_of(plugins: Sequence[LoadedPlugin], place: ChildPlace | None = None) -> dict[str, Agent[Any]]:
    """Give the agents of plugins, by name: `PLUGIN:NAME`. Of a name the first counts.

    Args:
        plugins: as `Plugins.of` gives them.
        place: the session's `SessionExtensions.agent_place`; without it they can be named and listed, and
            those that are classes cannot run.
    """
    found: dict[str, Agent[Any]] = {}
    for loaded in plugins:
        for agent in (*_prompts(loaded), *_classes(loaded, place)):
            found.setdefault(agent.name, agent)
    return found


def _prompts(loaded: LoadedPlugin) -> Iterator[ChatAgent]:
    entries = loaded.plugin.manifest.agents if loaded.plugin.manifest is not None else ()
    for entry in entries:
        if entry.system_prompt is not None:
            name = f"{loaded.plugin.name}:{entry.name}"
            yield ChatAgent(_context(entry), name=name, description=entry.description or entry.name)


def _context(entry: AgentEntry) -> ChatContext:
    assert entry.system_prompt is not None
    return ChatContext(
        system_prompt=entry.system_prompt, model=entry.model_override, tools=entry.tools, mode=entry.mode
    )


def _classes(loaded: LoadedPlugin, place: ChildPlace | None) -> Iterator[PluginAgent]:
    for declared in loaded.agents:
        yield PluginAgent(declared, place, name=f"{loaded.plugin.name}:{declared.name}")
