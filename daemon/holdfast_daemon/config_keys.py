"""The settings a file, a variable or a flag may give the daemon, as the types of `config` have them.

What is not here is where the daemon is, not how it behaves: directories and stdio come from flags and the
environment only (`holdfast_protocol.discovery`), because clients have to find the same ones.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec
from msgspec import inspect

from holdfast_daemon.config import NOT_OVER, Config
from holdfast_protocol.settings.key import Key
from holdfast_protocol.settings.resolve import Setting


class Described(NamedTuple):
    """Where a setting of `Config` itself stands in the file, and what it does."""

    section: str
    summary: str
    flag: str = ""


DESCRIBED: Final[Mapping[str, Described]] = {
    "tcp": Described(
        "listen", "Listen on loopback over TCP: the port, 0 for any free one, `off` for not at all.", "--tcp"
    ),
    "ws": Described(
        "listen",
        "Listen on loopback for WebSockets: the port, 0 for any free one, `off` for not at all.",
        "--ws",
    ),
    "ws_origins": Described(
        "listen", "Origins of pages that may connect, beside the daemon's own.", "--ws-origin"
    ),
    "default_model": Described(
        "daemon",
        "The model of sessions that name none; `auto` for one whose key is set or that runs here.",
    ),
    "default_agent": Described("daemon", "The agent of sessions that name none."),
    "idle_exit_s": Described(
        "daemon", "Exit after so long without a client and without work; `off` for never.", "--idle-exit"
    ),
    "shutdown_grace_s": Described("daemon", "How long a stop waits for runs before it interrupts them."),
    "hooks": Described("", "Python functions that see every tool call, in their order.", "--hook"),
    "mcp_servers": Described("", "MCP servers every session gets."),
}

_NOT_SETTINGS: Final = frozenset({"state_dir", "runtime_dir", "stdio"})
_NO_VARIABLE: Final = frozenset({"hooks", "mcp_servers"})
"""These are code: nothing that merely sets variables, as a directory's `.envrc`, may bring any."""

_NO_VARIABLES: Final = frozenset({"sandbox", "fetch", "base_urls"})
"""Nor may it open the sandbox, or have keys sent elsewhere."""


def daemon_keys() -> tuple[Key, ...]:
    """Give all settings of the daemon, in the order they are listed."""
    fields = {field.name: field for field in _fields(Config)}
    keys = [_described(name, fields[name]) for name in DESCRIBED]
    for name, field in fields.items():
        if isinstance(field.type, inspect.StructType):
            keys.extend(_limit(name, inner) for inner in field.type.fields)
        else:
            assert name in DESCRIBED or name in _NOT_SETTINGS, f"say in DESCRIBED what {name} is"
    return tuple(keys)


def config_of(settings: Mapping[str, Setting], **where: Any) -> Config:
    """Give the daemon's settings as its own type.

    Args:
        settings: all of them, resolved.
        where: the fields of `Config` that are no settings.
    """
    values: dict[str, Any] = dict(where)
    for setting in settings.values():
        key = setting.key
        if key.is_of_command:
            continue
        if key.bare in DESCRIBED and DESCRIBED[key.bare].section == key.section:
            values[key.bare] = setting.value
        else:
            values.setdefault(key.section, {})[key.bare] = setting.value
    return msgspec.convert(values, Config)


def _fields(struct: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    return cast("inspect.StructType", inspect.type_info(struct)).fields


def _described(name: str, field: inspect.Field) -> Key:
    section, summary, flag = DESCRIBED[name]
    return _key(
        field,
        f"{section}.{name}" if section else name,
        variable="" if name in _NO_VARIABLE else f"HOLDFAST_{name.upper()}",
        flag=flag,
        summary=summary,
    )


def _limit(section: str, field: inspect.Field) -> Key:
    name = f"{section}.{field.name}"
    variable = "" if section in _NO_VARIABLES else f"HOLDFAST_{section.upper()}_{field.name.upper()}"
    return _key(field, name, variable=variable, not_over=NOT_OVER.get(name, ""))


def _key(field: inspect.Field, name: str, **said: Any) -> Key:
    traits: dict[str, Any] = {**_traits(field.type), "required": field.required, **said}
    default: Any = None if field.required else field.default
    if traits["kind"] == "number" and default is not None:
        default = float(default)
    return Key(name=name, default=default, **traits)


def _traits(kind: inspect.Type) -> dict[str, Any]:
    """Give what a type says of its values, as attributes of `Key`."""
    match kind:
        case inspect.Metadata():
            schema = cast("dict[str, str]", kind.extra_json_schema or {})
            return {**_traits(kind.type), "form": schema.get("description", "")}
        case inspect.UnionType():
            (inner,) = (one for one in kind.types if not isinstance(one, inspect.NoneType))
            return {**_traits(inner), "may_be_off": True}
        case inspect.LiteralType():
            return {"kind": "string", "choices": tuple(map(str, kind.values))}
        case inspect.VarTupleType():
            return _traits_of_list(kind)
        case inspect.StrType():
            lengths = {"minimum": kind.min_length, "maximum": kind.max_length}
            return {"kind": "string", "pattern": kind.pattern or "", **lengths}
        case inspect.BoolType():
            return {"kind": "boolean"}
        case inspect.IntType():
            return {"kind": "integer", "minimum": kind.ge, "maximum": kind.le}
        case inspect.FloatType():
            return {"kind": "number", "minimum": kind.ge, "maximum": kind.le}
        case _:
            raise AssertionError(f"no setting can be of the type {kind}")


def _traits_of_list(kind: inspect.VarTupleType) -> dict[str, Any]:
    items = kind.item_type
    if isinstance(items, inspect.StructType):
        fields = tuple(_key(field, field.name) for field in items.fields)
        return {"kind": "tables", "maximum": kind.max_length, "fields": fields}
    return {"kind": "strings", "maximum": kind.max_length, "fields": (Key(name="item", **_traits(items)),)}


def rendered(keys: tuple[Key, ...]) -> Iterator[str]:
    """Yield the lines of a Python tuple of keys, with what differs from a key's own defaults."""
    for key in keys:
        yield "Key("
        for name, value in key._asdict().items():
            if value == Key._field_defaults.get(name):
                continue
            if name == "fields":
                yield "    fields=("
                yield from (f"        {line}" for line in rendered(key.fields))
                yield "    ),"
            else:
                yield f"    {name}={_literal(value)},"
        yield "),"


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        items = cast("tuple[object, ...]", value)
        return f"({', '.join(map(_literal, items))}{',' if len(items) == 1 else ''})"
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    return repr(value)
