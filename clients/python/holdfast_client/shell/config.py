"""`holdfast config`: what the settings are and where each comes from; sets one in the file."""

import json
import os
import sys
from typing import Any, Final

from holdfast_client.shell import columns, endpoint, settings
from holdfast_client.shell.arguments import Arguments, Spec, meant
from holdfast_client.shell.exit_codes import OK, UsageError
from holdfast_client.shell.plain import plain
from holdfast_protocol.settings import key as keys
from holdfast_protocol.settings.key import Key
from holdfast_protocol.settings.resolve import KEYS, Setting, nearest_key

SPEC: Final = Spec(
    usage="""\
holdfast config list|get|set|unset|path [KEY] [VALUE…]

Look at the settings, and change them in the configuration file. A variable of
the environment goes before the file; `list` says where each value comes from.

  list             print all settings: value, default, origin
  get KEY          print one value
  set KEY VALUE…   write it into the file; several values make a list
  unset KEY        take it out of the file: the default holds again
  path             print where the file is; it need not exist

  --changed        list only what is not a default
  --json           list, get: print one JSON document

A daemon that runs keeps its settings until it is started again.
""",
    flags={"--changed": "changed", "--json": "json"},
    choices={"verb": ("list", "get", "set", "unset", "path")},
    positionals=(1, None),
    completes="verb",
)


def run(arguments: Arguments) -> int:
    """Do one of the five."""
    verb, *words = arguments.positionals
    match verb, words:
        case "list", []:
            _list(arguments)
        case "get", [name]:
            _get(name, as_json="json" in arguments.flags)
        case "set", [name, value, *more]:
            _set(name, [value, *more])
        case "unset", [name]:
            _unset(name)
        case "path", []:
            print(plain(endpoint.locate().file))
        case (("list" | "get" | "set" | "unset" | "path"), _):
            raise UsageError(f"config {verb}: wrong number of arguments (see `holdfast help config`)")
        case _:
            known = ("list", "get", "set", "unset", "path")
            raise UsageError(f"config has no {verb!r}{meant(verb, known)} (see `holdfast help config`)")
    return OK


def _list(arguments: Arguments) -> None:
    path = endpoint.locate().file
    found = [
        setting
        for setting in settings.load(path, os.environ).values()
        if setting.origin.layer != "default" or "changed" not in arguments.flags
    ]
    if "json" in arguments.flags:
        rows = [_as_json(setting) for setting in found]
        print(json.dumps({"file": path, "settings": rows}, ensure_ascii=False))
        return
    rows = [(s.key.name, _text(s.key, s.value), _text(s.key, s.key.default), _origin(s)) for s in found]
    for line in columns.lines([("KEY", "VALUE", "DEFAULT", "ORIGIN"), *rows]):
        print(plain(line))


def _get(name: str, *, as_json: bool) -> None:
    key = _known(name)
    setting = settings.load(endpoint.locate().file, os.environ)[key.name]
    print(json.dumps(_as_json(setting), ensure_ascii=False) if as_json else plain(_text(key, setting.value)))


def _set(name: str, words: list[str]) -> None:
    from holdfast_client.shell import config_file  # noqa: PLC0415 - for writing alone

    key = _known(name)
    if key.kind == "tables":
        raise UsageError(f"{name} is a list of tables; edit {endpoint.locate().file}")
    if len(words) > 1 and key.kind != "strings":
        raise UsageError(f"{name} takes one value, not {len(words)}")
    try:
        value = keys.fit(key, words) if key.kind == "strings" else keys.read(key, words[0])
    except keys.Misfit as misfit:
        raise UsageError(f"{name}: {misfit}") from None
    _report(config_file.change(endpoint.locate().file, name, key, value))
    if os.environ.get(key.variable):
        _say(f"{key.variable} is set, and goes before the file")


def _unset(name: str) -> None:
    """Also for a name that is no setting's: that is how a mistake is taken out."""
    from holdfast_client.shell import config_file  # noqa: PLC0415 - as above

    _report(config_file.change(endpoint.locate().file, name, None, None))


def _report(problems: tuple[Any, ...]) -> None:
    for problem in problems:
        _say(f"still wrong: {problem}")


def _say(text: str) -> None:
    print(f"holdfast: {plain(text)}", file=sys.stderr)


def _known(name: str) -> Key:
    if name not in KEYS:
        raise UsageError(f"unknown key {name}{nearest_key(name)} (see `holdfast config list`)")
    return KEYS[name]


def _text(key: Key, value: Any) -> str:
    """Give a value as `set` takes it."""
    if value is None:
        return keys.OFF if key.may_be_off else ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _origin(setting: Setting) -> str:
    return setting.origin.place or setting.origin.layer


def _as_json(setting: Setting) -> dict[str, Any]:
    key, value, origin = setting
    return {
        "key": key.name,
        "value": value,
        "default": key.default,
        "origin": {"layer": origin.layer, "place": origin.place or None},
        "expected": keys.expected(key),
        "variable": key.variable or None,
    }
