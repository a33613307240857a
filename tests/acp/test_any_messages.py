"""Whatever an editor sends, each request is answered once and the bridge goes on."""

import json
import random
from typing import Any

import pytest
from acp_world import EVERYTHING, editing

from fakes.home import Home

METHODS = (
    *(
        "initialize",
        "authenticate",
        "logout",
        "session/new",
        "session/load",
        "session/resume",
        "session/list",
    ),
    *("session/close", "session/delete", "session/set_mode", "session/set_config_option", "session/prompt"),
    *("session/fork", "session/set_title", "session/archive", "session/status", "_session/steering"),
    *("_holdfast/session/get", "_holdfast/session/read", "_holdfast/rpc.discover", "nothing", ""),
)
NOTIFICATIONS = ("session/cancel", "$/cancel_request", "initialized", "session/prompt", "")
NAMES = (
    *(
        "sessionId",
        "cwd",
        "mcpServers",
        "prompt",
        "modeId",
        "configId",
        "value",
        "cursor",
        "requestId",
        "_meta",
    ),
    *("protocolVersion", "clientCapabilities", "additionalDirectories", "title", "type", "text", "name"),
)
ROUNDS = 400


def anything(draw: random.Random, values: list[Any], depth: int = 0) -> Any:
    """Give some JSON; now and then something that means something."""
    match draw.randrange(8 if depth < 3 else 5):
        case 0 | 1:
            return draw.choice(values)
        case 2:
            return draw.choice([None, True, False, 0, -1, 2**62, 1.5])
        case 3:
            return draw.choice(["", "x", "\u0000", "é" * 50, "../..", "\ud83d\ude00"])
        case 4:
            return draw.choice([[], {}])
        case 5:
            return [anything(draw, values, depth + 1) for _ in range(draw.randrange(3))]
        case _:
            return {draw.choice(NAMES): anything(draw, values, depth + 1) for _ in range(draw.randrange(4))}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_request_is_answered_once_and_the_bridge_goes_on(home: Home, seed: int) -> None:
    draw = random.Random(seed)
    async with editing(home, wrong=True) as editor:
        await editor.initialize(EVERYTHING)
        session_id = await editor.new(home.work)
        values = [session_id, str(home.work), "ask", "mode", {"type": "text", "text": "say x"}, [], 1]
        sent: list[Any] = []
        for number in range(ROUNDS):
            members = {draw.choice(NAMES): anything(draw, values) for _ in range(draw.randrange(5))}
            if draw.random() < 0.8:
                members["sessionId"] = session_id
            params = members if draw.random() < 0.9 else anything(draw, values)
            if draw.random() < 0.2:
                message = {"jsonrpc": "2.0", "method": draw.choice(NOTIFICATIONS), "params": params}
            else:
                call_id = draw.choice([number + 1000, f"n{number}"])
                method = draw.choice(METHODS)
                message = {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}
                sent.append(call_id)
                editor.watch._asked["client", json.dumps(call_id)] = "any"
            await editor.send(message, wrong=True)
            if number % 20 == 0:
                await editor.until(lambda: all(one in editor.answers for one in sent[-30:-10]))
        await editor.until(lambda: all(one in editor.answers for one in sent))
        assert await editor.new(home.work)
    answers = [message for message in editor.messages if "method" not in message]
    answered = [message["id"] for message in answers if message["id"] is not None]  # Null: no message at all.
    assert len(answered) == len(set(map(json.dumps, answered)))
