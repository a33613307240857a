"""The published JSON Schema of the protocol, one definition per method and side.

The root schema takes an unknown update for an extension's notification, so validating against it would prove
nothing: each message is held to the definition of its own method.
"""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parent / "schema-v1.json").read_text(encoding="utf-8"))

DEFINITIONS: dict[str, Any] = SCHEMA["$defs"]


def _by_method() -> dict[tuple[str, str], str]:
    """Give each definition's name by method and part: request (or notification), or response."""
    found: dict[tuple[str, str], str] = {}
    for name, definition in DEFINITIONS.items():
        if "x-method" in definition:
            part = "response" if name.endswith("Response") else "request"
            found[definition["x-method"], part] = name
    return found


BY_METHOD = _by_method()

_validators: dict[str, Any] = {}


def violations(name: str, value: Any) -> list[str]:
    """Give what is wrong with a value, by a definition's name."""
    validator = _validators.get(name)
    if validator is None:
        schema = {"$schema": SCHEMA["$schema"], "$ref": f"#/$defs/{name}", "$defs": DEFINITIONS}
        validator = _validators[name] = jsonschema_rs.validator_for(schema)
    found = validator.iter_errors(value)
    return [f"{name}: {error.message} at {list(error.instance_path)}" for error in found]


class Watch:
    """Sees the messages of one connection, in order, and collects what is wrong with them.

    Attributes:
        violations: what was found.
        checked: how many messages were held to a definition of the schema.
    """

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.checked = 0
        self._asked: dict[tuple[str, Any], str] = {}

    def see(self, sender: str, message: dict[str, Any]) -> None:
        """Look at a message from `client` or `agent`."""
        if message.get("jsonrpc") != "2.0":
            self.violations.append(f"{sender}: no JSON-RPC 2.0: {message}")
        if "method" in message:
            if "id" in message:
                self._asked[sender, json.dumps(message["id"])] = message["method"]
            self._hold(message["method"], "request", message.get("params"))
            return
        receiver = "agent" if sender == "client" else "client"
        method = self._asked.pop((receiver, json.dumps(message.get("id"))), None)
        if "error" in message:
            self._hold_to("Error", message["error"])
            if method is None and message.get("id") is not None:
                self.violations.append(f"{sender}: an answer to nothing: {message}")
        elif method is None:
            self.violations.append(f"{sender}: an answer to nothing, or a second one: {message}")
        else:
            self._hold(method, "response", message.get("result"))

    @property
    def unanswered(self) -> list[str]:
        """Methods of requests that have no answer."""
        return list(self._asked.values())

    def _hold(self, method: str, part: str, value: Any) -> None:
        name = BY_METHOD.get((method, part))
        if name is not None:
            self._hold_to(name, value)

    def _hold_to(self, name: str, value: Any) -> None:
        self.checked += 1
        self.violations += violations(name, value)
