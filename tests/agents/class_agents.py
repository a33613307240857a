"""Agents that are classes of a plugin, written by a test."""

import os
import textwrap
from pathlib import Path
from typing import Any

from holdfast_daemon.agents.plugin_agent import PluginAgent
from holdfast_daemon.extensions.agent_classes import AgentClass
from holdfast_daemon.extensions.child import ChildPlace

ENV = {"PATH": os.environ["PATH"], "SEEN": "yes"}

HEAD = """
import asyncio, os, signal, subprocess, sys, time
from contextlib import aclosing
import msgspec
from holdfast_daemon.agents.base import Agent, NoContext, StepsExhausted, one_step, system_prompt
from holdfast_daemon.models.base import *
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import ErrorInfo, Usage

def text(said, index=0):
    yield BlockStarted(index=index, kind="text")
    yield BlockDelta(index=index, text=said)
    yield BlockEnded(index=index)

def step(said):
    yield from text(said)
    yield StepCompleted(stop_reason="end_turn", usage=Usage())

class One(Agent[NoContext]):
    async def run(self, session):
"""

CHAT = """
        for _ in range(session.steps_max):
            async with aclosing(one_step(session, system_prompt(session, "Be brief."))) as events:
                async for event in events:
                    yield event
            if not await session.call_tools():
                return
        raise StepsExhausted
"""


def agent_of(tmp_path: Path, body: str, *, idle_s: float = 20.0, **declared: Any) -> PluginAgent:
    """Give an agent whose `run` is `body`; a body that begins with `#` is a whole module."""
    folder = tmp_path / "plugin"
    folder.mkdir(exist_ok=True)
    source = body if body.startswith("#") else HEAD + textwrap.indent(textwrap.dedent(body), " " * 8)
    (folder / "agents_of_it.py").write_text(source)
    context = AgentClass(
        plugin="sample",
        folder=str(folder),
        name="one",
        description="d",
        target="agents_of_it:One",
        **{"context": {}, **declared},
    )
    place = ChildPlace(cwd=str(tmp_path), env=ENV, grace_s=0.0)
    return PluginAgent(context, place, name="sample:one", idle_s=idle_s)


def living(pids: list[int]) -> list[int]:
    return [
        pid
        for pid in pids
        if Path(f"/proc/{pid}").exists() and b") Z" not in Path(f"/proc/{pid}/stat").read_bytes()
    ]
