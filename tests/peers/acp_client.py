"""The public Python SDK's client, through a whole conversation. Prints what it found as one JSON object.

Usage: acp_client.py DIRECTORY COMMAND…
"""

import asyncio
import json
import sys
from collections import defaultdict
from typing import Any

from acp.schema import AllowedOutcome, ClientCapabilities, Implementation, RequestPermissionResponse

from acp import PROTOCOL_VERSION, spawn_agent_process, text_block


class Client:
    """Allows once, and keeps what is said."""

    def __init__(self) -> None:
        self.said: dict[str, str] = defaultdict(str)
        self.seen: list[str] = []
        self.asked = 0
        self.chunk = asyncio.Event()

    async def request_permission(
        self, session_id: str, tool_call: Any, options: Any, **kwargs: Any
    ) -> RequestPermissionResponse:
        del session_id, tool_call, kwargs
        self.asked += 1
        option = next(option for option in options if option.kind == "allow_once")
        return RequestPermissionResponse(
            outcome=AllowedOutcome(outcome="selected", option_id=option.option_id)
        )

    async def session_update(self, session_id: str, update: Any, **kwargs: Any) -> None:
        del kwargs
        self.seen.append(update.session_update)
        if update.session_update == "agent_message_chunk":
            self.said[session_id] += update.content.text
            self.chunk.set()

    def on_connect(self, conn: Any) -> None:
        del conn


async def main(directory: str, command: list[str]) -> dict[str, Any]:
    client = Client()
    async with spawn_agent_process(client, *command) as (agent, _process):
        hello = await agent.initialize(
            PROTOCOL_VERSION,
            client_capabilities=ClientCapabilities(),
            client_info=Implementation(name="python-sdk", version="1"),
        )
        first = await agent.new_session(cwd=directory, mcp_servers=[])
        second = await agent.new_session(cwd=directory, mcp_servers=[])
        one, two = first.session_id, second.session_id

        async def prompt(words: str, session_id: str = one) -> str:
            return (await agent.prompt(session_id, [text_block(words)])).stop_reason

        stops = [await prompt("say one"), await prompt("say two", two), await prompt("write made.txt: hello")]
        client.chunk.clear()
        async with asyncio.TaskGroup() as tasks:
            hanging = tasks.create_task(prompt("script:\n  - text: I wait.\n    hang: true\n"))
            await client.chunk.wait()
            await agent.cancel(one)
        stops.append(hanging.result())
        await agent.set_session_mode(session_id=one, mode_id="accept_edits")
        options = await agent.set_config_option(config_id="thought_level", session_id=one, value="low")
        before = len(client.seen)
        await agent.close_session(session_id=one)
        loaded = await agent.load_session(cwd=directory, session_id=one, mcp_servers=[])
        replayed = client.seen[before:]
        await agent.close_session(session_id=one)
        resumed = await agent.resume_session(cwd=directory, session_id=one, mcp_servers=[])
        listed = await agent.list_sessions(cwd=directory)
        forked = await agent.fork_session(session_id=one, cwd=directory, mcp_servers=[])
        return {
            "version": hello.protocol_version,
            "said": [client.said[one], client.said[two]],
            "stops": stops,
            "asked": client.asked,
            "options": len(options.config_options),
            "mode": [loaded.modes.current_mode_id, resumed.modes.current_mode_id],
            "replayed": replayed,
            "listed": len(listed.sessions),
            "forked": forked.session_id not in (one, two),
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2:]))))
