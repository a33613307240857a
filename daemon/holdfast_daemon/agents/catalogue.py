"""The agents a session can name."""

from holdfast_daemon.agents.base import Agent
from holdfast_daemon.agents.chat import ChatAgent


def builtin_agents() -> dict[str, Agent]:
    """Give the agents that come with the daemon, by name."""
    agents: tuple[Agent, ...] = (ChatAgent(),)
    return {agent.name: agent for agent in agents}
