"""`holdfast trust`: the directories whose configuration and instructions are read."""

import json
import os
from time import time
from typing import Any, Final

from holdfast_client.shell import columns, figures, reach
from holdfast_client.shell.arguments import Arguments, Spec, meant
from holdfast_client.shell.exit_codes import FAILED, OK, CommandFailed, UsageError
from holdfast_client.shell.plain import plain

_VERBS: Final = ("list", "remove")

SPEC: Final = Spec(
    usage="""\
holdfast trust list|remove [DIR] [--json]

Look at the directories you trust, and trust one no longer. What a project
brings, its plugins, slash commands and AGENTS.md, is read once you
have allowed it: the first run there asks.

  list         print all of them
  remove DIR   the next run there asks again
  --json       print one JSON document
""",
    flags={"--json": "json"},
    choices={"verb": _VERBS},
    positionals=(1, 2),
    completes="verb",
)


def run(arguments: Arguments) -> int:
    """Do one of the two."""
    as_json = "json" in arguments.flags
    match arguments.positionals:
        case ["list"]:
            _list(as_json=as_json)
        case ["remove", directory]:
            _remove(directory, as_json=as_json)
        case [("list" | "remove") as verb, *_]:
            raise UsageError(f"trust {verb}: wrong number of arguments (see `holdfast help trust`)")
        case [verb, *_]:
            raise UsageError(f"trust has no {verb!r}{meant(verb, _VERBS)} (see `holdfast help trust`)")
        case _:
            raise UsageError("trust: something is missing (see `holdfast help trust`)")
    return OK


def _list(*, as_json: bool) -> None:
    listed: list[dict[str, Any]] = reach.started().wire.call("trust/list", {})["directories"]
    if as_json:
        print(json.dumps({"directories": listed}, ensure_ascii=False))
        return
    now = int(time() * 1000)
    rows = [(figures.age(now - each["trustedAt"]), plain(each["path"])) for each in listed]
    print("\n".join(columns.lines([("SINCE", "DIRECTORY"), *rows])))


def _remove(directory: str, *, as_json: bool) -> None:
    path = os.path.abspath(directory)  # noqa: PTH100 - pathlib is slow to import
    if not reach.started().wire.call("trust/remove", {"path": path})["removed"]:
        raise CommandFailed(f"{path} is not trusted", FAILED, "not_trusted")
    print(json.dumps({"path": path, "removed": True}) if as_json else f"not trusted any more: {plain(path)}")
