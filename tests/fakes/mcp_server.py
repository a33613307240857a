"""An MCP server for tests, a program of its own without an SDK: run it as `python mcp_server.py`.

Its tools: `echo` gives its text back, `ask` has a person fill in a form, `visit` has one open an address, and
`die` ends the process. It offers one prompt, `greet`.
"""

import itertools
import json
import os
import sys
from typing import Any

_ids = itertools.count(1)

_TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
_NOTHING = {"type": "object", "properties": {}}
TOOLS = [
    {"name": "echo", "description": "Say it again.", "inputSchema": _TEXT},
    {"name": "ask", "description": "Ask for a colour.", "inputSchema": _NOTHING},
    {"name": "visit", "description": "Have an address opened.", "inputSchema": _NOTHING},
    {"name": "die", "description": "End.", "inputSchema": _NOTHING},
]
GREET = {"name": "greet", "description": "Greet somebody.", "arguments": [{"name": "name", "required": True}]}
FORM = {
    "message": "Which colour?",
    "requestedSchema": {
        "type": "object",
        "properties": {"colour": {"type": "string"}},
        "required": ["colour"],
    },
}
ADDRESS = {"mode": "url", "message": "Sign in.", "url": "https://example.org/sign-in", "elicitationId": "e1"}


def main() -> None:
    """Serve until stdin ends."""
    for line in sys.stdin:
        message = json.loads(line)
        if "method" in message and "id" in message:
            result = answer(message["method"], message.get("params") or {})
            missing = {"error": {"code": -32601, "message": "no such method"}}
            send({"id": message["id"], **(missing if result is None else {"result": result})})


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Give the result of a request; None if there is no such method."""
    match method:
        case "initialize":
            return {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}, "prompts": {}},
                "serverInfo": {"name": "test", "version": "1"},
            }
        case "ping":
            return {}
        case "tools/list":
            return {"tools": TOOLS}
        case "tools/call":
            return {
                "content": [{"type": "text", "text": call(params["name"], params.get("arguments") or {})}]
            }
        case "prompts/list":
            return {"prompts": [GREET]}
        case "prompts/get":
            text = f"Say hello to {params['arguments']['name']}."
            return {"messages": [{"role": "user", "content": {"type": "text", "text": text}}]}
        case _:
            return None


def call(tool: str, arguments: dict[str, Any]) -> str:
    """Run a tool; give its text."""
    match tool:
        case "echo":
            return str(arguments["text"])
        case "ask":
            return said(ask(FORM))
        case "visit":
            return said(ask(ADDRESS))
        case _:
            os._exit(7)


def said(answered: dict[str, Any]) -> str:
    """Put an answer into words."""
    return " ".join([answered["action"], *map(str, (answered.get("content") or {}).values())])


def ask(params: dict[str, Any]) -> dict[str, Any]:
    """Ask a person; notifications that come before the answer are passed over."""
    asked = f"ask-{next(_ids)}"
    send({"id": asked, "method": "elicitation/create", "params": params})
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("id") == asked:
            return message.get("result") or {"action": "error"}
    return {"action": "gone"}


def send(message: dict[str, Any]) -> None:
    """Send a message."""
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


if __name__ == "__main__":
    main()
