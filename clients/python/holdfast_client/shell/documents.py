"""What `--json` prints, as JSON Schema: a document per command, and the lines of stream-json.

Types of the protocol are referred to by name; `bundle` brings them. Additional members may come at any time,
members that are required here stay.
"""

import json
from typing import Any, Final, cast

Schema = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_ID: Final[Schema] = {"type": "string", "minLength": 1}
_SEQ: Final[Schema] = {"type": "integer", "minimum": 0}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_TEXT: Final[Schema] = {"type": "string"}
_YES: Final[Schema] = {"type": "boolean"}
_NO_VALUE: Final[Schema] = {"type": "null"}
_EXIT_CODE: Final[Schema] = {"enum": [0, 1, 2, 3, 4, 5, 6, 69, 75, 130]}


def _wire(name: str) -> Schema:
    """Refer to a type of the protocol."""
    return {"$ref": f"#/$defs/{name}"}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, _NO_VALUE]}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }


_PLACE: Final[Schema] = _or_null(
    {"type": "array", "prefixItems": [_TEXT, {"type": "integer"}], "minItems": 2, "maxItems": 2}
)

_ANSWER: Final = _object(
    {
        "sessionId": _ID,
        "requestId": _ID,
        "title": _TEXT,
        "accepted": _YES,
        "outcome": _ID,
        "by": _ID,
    }
)

_FAILURE: Final = _object({"kind": _ID, "message": _TEXT}, {"retryable": _YES})

_RESULT: Final = _object(
    {"type": {"const": "result"}, "exitCode": _EXIT_CODE, "status": _ID},
    {
        "sessionId": _ID,
        "epoch": _ID,
        "cursor": _SEQ,
        "promptId": _ID,
        "runId": _or_null(_ID),
        "text": _TEXT,
        "stopReason": _TEXT,
        "usage": _wire("Usage"),
        "cost": _or_null(_wire("Cost")),
        "durationMs": _COUNT,
        "error": _FAILURE,
        "cause": _TEXT,
        "by": _ID,
        "seq": _SEQ,
        "position": _COUNT,
        "waitsFor": _list(_object({"requestId": _ID, "title": _TEXT})),
    },
)

_SETTING: Final = _object(
    {
        "key": _ID,
        "value": {},
        "default": {},
        "origin": _object({"layer": _ID, "place": _or_null(_TEXT)}),
        "expected": _TEXT,
        "variable": _or_null(_TEXT),
    }
)

_CHECK: Final = _object(
    {
        "status": {"enum": ["ok", "warning", "failed"]},
        "summary": _TEXT,
        "details": _list(_TEXT),
        "remediation": _or_null(_TEXT),
        "durationMs": _COUNT,
    }
)

_STREAM_LINE: Final[Schema] = {
    "anyOf": [
        _object({"type": {"const": "session"}, "sessionId": _ID, "epoch": _ID}),
        _RESULT,
        _wire("Event"),
    ]
}

_DEMO_LINE: Final[Schema] = {
    "anyOf": [
        _object(
            {
                "type": {"const": "step"},
                "subject": _ID,
                "what": _ID,
                "text": _TEXT,
                "note": _TEXT,
                "elapsedMs": _COUNT,
            }
        ),
        _object(
            {
                "type": {"const": "check"},
                "name": _ID,
                "text": _TEXT,
                "ok": _YES,
                "against": _or_null(_TEXT),
                "elapsedMs": _COUNT,
            }
        ),
        _object(
            {
                "type": {"const": "result"},
                "exitCode": {"enum": [0, 1]},
                "status": {"enum": ["completed", "failed"]},
                "failed": _list(_ID),
                "error": _or_null(_TEXT),
                "durationMs": _COUNT,
                "kept": _or_null(_object({"home": _TEXT, "sample": _TEXT})),
                "elapsedMs": _COUNT,
            }
        ),
    ]
}

DOCUMENTS: Final[dict[str, Schema]] = {
    "run": _RESULT,
    "logs": _object(
        {
            "sessionId": _ID,
            "epoch": _ID,
            "events": _list(_wire("Event")),
            "status": {"enum": ["read", "ended", "detached", "error"]},
            "exitCode": _EXIT_CODE,
        },
        {"cursor": _SEQ, "error": _FAILURE},
    ),
    "send": {
        "anyOf": [
            _object(
                {"sessionId": _ID, "promptId": _ID, "status": _ID, "seq": _SEQ},
                {"runId": _ID, "position": _COUNT, "replayed": _YES},
            ),
            _object(
                {"sessionId": _ID, "runId": _ID, "status": {"const": "started"}, "seq": _SEQ},
                {"replayed": _YES},
            ),
        ]
    },
    "approvals": _object({"requests": _list(_wire("OpenRequest"))}),
    "approve": _ANSWER,
    "deny": _ANSWER,
    "ps": _object({"sessions": _list(_wire("SessionInfo"))}, {"more": _YES}),
    "cancel": _object({"sessionId": _ID, "cancelled": _YES}, {"runId": _ID}),
    "close": _object({"sessionId": _ID, "seq": _SEQ}),
    "rename": _object({"sessionId": _ID, "title": _TEXT, "seq": _SEQ}),
    "fork": _object(
        {"sessionId": _ID, "epoch": _ID, "seq": _SEQ, "forkedFrom": _ID},
        {"replayed": _YES},
    ),
    "export": _object({"sessionId": _ID, "file": _TEXT, "events": _COUNT, "bytes": _COUNT}),
    "rm": _object({"deleted": _list(_ID)}),
    "status": {
        "anyOf": [
            _object({"running": {"const": False}}),
            {"allOf": [_object({"running": {"const": True}}), _wire("DaemonStatusResult")]},
        ]
    },
    "stop": _object({"stopped": {"const": True}, "pid": _COUNT, "successorPid": _or_null(_COUNT)}),
    "socket": _object(
        {
            "unix": _or_null(_TEXT),
            "tcp": _PLACE,
            "ws": _PLACE,
            "record": _TEXT,
            "pid": _COUNT,
            "instanceId": _ID,
            "version": _ID,
        }
    ),
    "version": _object(
        {
            "client": _object({"version": _ID, "protocolVersions": _list({"type": "integer"})}),
            "daemon": _or_null(_wire("ServerInfo")),
        }
    ),
    "config": {"anyOf": [_object({"file": _TEXT, "settings": _list(_SETTING)}), _SETTING]},
    "trust": {
        "anyOf": [_wire("TrustListResult"), _object({"path": _ID, "removed": {"const": True}})],
    },
    "doctor": _object(
        {"schemaVersion": {"const": 1}, "checks": {"type": "object", "additionalProperties": _CHECK}}
    ),
    "demo": _DEMO_LINE,
    "stream-json": _STREAM_LINE,
}
"""By command, of `demo` one line; `stream-json` is one line of what `run`, `logs` and `watch` stream."""


def bundle(name: str, types: dict[str, Schema]) -> Schema:
    """Give one of the documents' schemas, whole.

    Args:
        name: a key of `DOCUMENTS`.
        types: the protocol's, by name: `$defs` of its JSON Schema.
    """
    title = "a line of stream-json" if name == "stream-json" else f"holdfast {name} --json"
    wanted = _types_of(DOCUMENTS[name], types)
    definitions = {"$defs": {kind: types[kind] for kind in sorted(wanted)}} if wanted else {}
    return {"$schema": _DIALECT, "title": title, **DOCUMENTS[name], **definitions}


def _types_of(schema: Schema, types: dict[str, Schema]) -> set[str]:
    """Give the names of all types a schema refers to, also by others."""
    found: set[str] = set()
    waiting = _named_in(schema)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting |= _named_in(types[name])
    return found


def _named_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        named = {ref.rpartition("/")[2]} if isinstance(ref := members.get("$ref"), str) else set[str]()
        return named.union(*(_named_in(member) for member in members.values()))
    if isinstance(value, list):
        return set[str]().union(*(_named_in(item) for item in cast("list[Any]", value)))
    return set()


def text_of(document: Schema) -> str:
    """Give a document as it is printed."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
