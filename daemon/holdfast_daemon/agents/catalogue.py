"""The agents every session can name; those of plugins are `plugin_agents`'."""

from typing import Any

from holdfast_daemon.agents.base import Agent
from holdfast_daemon.agents.chat import ChatAgent, ChatContext


def builtin_agents() -> dict[str, Agent[Any]]:
    """Give the agents that come with the daemon, by name."""
    agents: tuple[Agent[Any], ...] = (ChatAgent(ChatContext()),)
    return {agent.name: agent for agent in agents}
