"""The process a plugin's Python functions run in. Started by `worker_pool`; nothing of the daemon is in here.

Reads requests as lines of JSON from stdin, answers each with one line on what was stdout:

    {"do": "describe", "targets": [...]}           → {"described": [{name, description, schema} | {error}]}
    {"do": "call", "target", "input", "mark"}      → {"result": text, "threads": bool} | {"error", "kind"}
    {"do": "hook", "target", "call", "mark"}       → {"answer": any, "threads": bool} | {"error", "kind"}

What the functions print, to stdout or stderr, goes to stderr; after each call the mark follows on it. Ends
when stdin does. The plugin's folder is the first place modules are looked for; the current directory is none.
"""

import asyncio
import copy
import functools
import importlib
import inspect
import os
import sys
import threading
import typing
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec

from holdfast_daemon.execution.input_schema import BadInput, convert_input, input_schema

RESULT_CHARACTERS_MAX: Final = 1024 * 1024
"""A longer result is cut here; the executor cuts further."""

_DESCRIPTION_CHARACTERS_MAX: Final = 4096
_SECTIONS: Final = (
    "Args:",
    "Arguments:",
    "Parameters:",
    "Returns:",
    "Raises:",
    "Yields:",
    "Example:",
    "Examples:",
)
_REFUSED: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class BadSkill(Exception):
    """A function cannot be a tool."""


Request = dict[str, Any]


def main(folder: str, answer: Callable[[Request], Request] | None = None) -> None:
    """Serve requests until stdin ends.

    Args:
        folder: where modules are looked for.
        answer: gives the answer to a request; must not raise. None: as the module says.
    """
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    printed = os.dup(2)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.path.insert(0, folder)
    _say(answers, {"ready": True})
    for line in requests:
        request = msgspec.json.decode(line)
        answered = (answer or _answer)(request)
        for stream in (sys.stdout, sys.stderr):
            _flush(stream)
        if "mark" in request:
            os.write(printed, request["mark"].encode())
        _say(answers, answered)


def _say(answers: Any, answer: dict[str, Any]) -> None:
    answers.write(msgspec.json.encode(answer) + b"\n")
    answers.flush()


def _flush(stream: Any) -> None:
    try:
        stream.flush()
    except (OSError, ValueError, AttributeError):  # The function closed or replaced it.
        return


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    threads = set(threading.enumerate())
    try:
        match request["do"]:
            case "describe":
                return {"described": [_described(target) for target in request["targets"]]}
            case "call":
                answer = {"result": _result(_called(request["target"], request["input"]))}
            case _:
                answer = {"answer": _finished(_function(request["target"])(request["call"]))}
    except BadInput as error:
        return {"error": str(error), "kind": "invalid_input"}
    except BaseException as error:  # noqa: BLE001 - foreign code; whatever it raises is its answer
        return {"error": told(error), "kind": "tool_failed"}
    return {**answer, "threads": bool(set(threading.enumerate()) - threads)}


def told(error: BaseException) -> str:
    """Give an exception of foreign code as a line or a few."""
    try:
        return f"{type(error).__name__}: {error}"[:8192].encode("utf-8", "replace").decode()
    except BaseException:  # noqa: BLE001 - an exception whose text raises
        return type(error).__name__


def _called(target: str, raw_input: Any) -> Any:
    function = _function(target)
    checked = convert_input(raw_input, _input_type(function))
    values = {name: getattr(checked, name) for name in checked.__struct_fields__}
    positional = [
        values.pop(name)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY
    ]
    return _finished(function(*positional, **values))


def _finished(value: Any) -> Any:
    if not inspect.isawaitable(value):
        return value

    async def wait() -> Any:
        return await value

    return asyncio.run(wait())


def _result(value: Any) -> str:
    if value is None:
        return "done"
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    text = text.encode("utf-8", "replace").decode()
    if len(text) <= RESULT_CHARACTERS_MAX:
        return text
    return f"{text[:RESULT_CHARACTERS_MAX]}\n[… {len(text) - RESULT_CHARACTERS_MAX} more characters]"


def _function(target: str) -> Callable[..., Any]:
    module_name, _, name = target.partition(":")
    module = importlib.import_module(module_name)
    function = getattr(module, name, None)
    if function is None:
        raise BadSkill(f"the module {module_name} has no `{name}`")
    if not callable(function) or inspect.isclass(function):
        raise BadSkill(f"`{name}` is no function")
    return function


def _described(target: str) -> dict[str, Any]:
    try:
        function = _function(target)
        summary, _ = _docstring(function)
        return {
            "name": target.partition(":")[2],
            "description": summary[:_DESCRIPTION_CHARACTERS_MAX],
            "schema": input_schema(_input_type(function)),
        }
    except BaseException as error:  # noqa: BLE001 - foreign code runs while it is imported
        return {"error": str(error) if isinstance(error, BadSkill) else told(error)}


def _input_type(function: Callable[..., Any]) -> type[msgspec.Struct]:
    """Give a struct with a field for each parameter, from annotations, defaults and the docstring."""
    hints = typing.get_type_hints(function, include_extras=True)
    _, about = _docstring(function)
    fields: list[Any] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in _REFUSED:
            raise BadSkill(f"`{parameter}`: a tool needs parameters with names")
        kind = hints.get(name, Any)
        if name in about:
            kind = Annotated[kind, msgspec.Meta(description=about[name])]
        fields.append((name, kind, *_default(parameter.default)))
    try:
        return msgspec.defstruct(
            "Input",
            fields,
            kw_only=True,
            forbid_unknown_fields=True,
            module=getattr(function, "__module__", None),
        )
    except (TypeError, ValueError) as error:
        raise BadSkill(f"its parameters: {error}") from error


def _default(value: object) -> tuple[Any, ...]:
    if value is inspect.Parameter.empty:
        return ()
    if type(value) in (list, dict, set, bytearray):
        return (msgspec.field(default_factory=functools.partial(copy.deepcopy, value)),)
    return (value,)


def _docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Give what a docstring says of the function, and of each parameter (Google style)."""
    lines = (inspect.getdoc(function) or "").splitlines()
    said: list[str] = []
    about: dict[str, str] = {}
    section = ""
    name = ""
    for line in lines:
        if line.strip() in _SECTIONS and not line[:1].isspace():
            section = line.strip()
        elif not section:
            said.append(line)
        elif section in _SECTIONS[:3]:
            name = _about(line, name, about)
    return "\n".join(said).strip(), about


def _about(line: str, name: str, about: dict[str, str]) -> str:
    """Take a line of `Args:`; a deeper one goes on with the parameter before. Give the parameter it is of."""
    head, colon, text = line.strip().partition(":")
    word = head.partition("(")[0].strip()
    deeper = len(line) - len(line.lstrip()) > 4
    if colon and word.isidentifier() and not (deeper and name):
        about[word] = text.strip()
        return word
    if name and line.strip():
        about[name] = f"{about[name]} {line.strip()}"
    return name


if __name__ == "__main__":
    main(sys.argv[1])
