"""A Python function as a tool: its schema, its arguments, its result. Calls nothing.

    def weather(city: str, days: int = 1) -> str: ...

has the input schema its annotations say, and its docstring as its description. A generator streams: what it
yields is sent as output at once, and all of it is the result.
"""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import msgspec

from holdfast_protocol.content import ContentBlock, ImageBlock, ResourceBlock, ResourceLinkBlock, TextBlock
from holdfast_protocol.events import ToolKind
from holdfast_protocol.methods.catalogue import HostedTool

Function = Callable[..., Any]

_BLOCKS: Final = (TextBlock, ImageBlock, ResourceLinkBlock, ResourceBlock)

_REFERENCES: Final = "#/$defs/{name}"


class BadInput(ValueError):
    """A call's input does not fit the tool; the message says where."""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function as a tool, with what the function does not say itself.

    Attributes:
        function: called with the input's members as keyword arguments. Sync functions run in a thread.
        description: for the model; None: the function's docstring.
        input_schema: JSON Schema of an object; None: what the annotations say. If given, arguments are passed
            as they came, and checking them is the function's business.
        kind: what sort of thing it does; permissions go by it.
    """

    function: Function
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    kind: ToolKind = "other"


class HostedFunction:
    """A tool ready to be registered and called.

    Args:
        name: the model's name for it: letters, digits, `_` and `-`, at most 64.
        tool: the function, or the function with what is to be said about it.

    Raises:
        TypeError: it cannot be called with keyword arguments, or an annotation has no JSON Schema.
    """

    def __init__(self, name: str, tool: "Tool | Function") -> None:
        given = tool if isinstance(tool, Tool) else Tool(function=tool)
        self.function = given.function
        plain = _unwrapped(given.function)
        self.is_async = inspect.iscoroutinefunction(plain)
        self.streams = inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain)
        self.streams_async = inspect.isasyncgenfunction(plain)
        self._arguments = None if given.input_schema is not None else _arguments_of(name, given.function)
        self.registration = HostedTool(
            name=name,
            description=given.description or inspect.getdoc(given.function) or name,
            input_schema=given.input_schema or _schema_of(self._arguments),
            kind=given.kind,
        )

    def bind(self, value: Any) -> dict[str, Any]:
        """Give the keyword arguments for an input.

        Raises:
            BadInput: it does not fit.
        """
        if not isinstance(value, dict):
            raise BadInput("Expected an object.")
        members = cast("dict[str, Any]", value)
        if self._arguments is None:
            return members
        try:
            arguments = msgspec.convert(members, self._arguments)
        except msgspec.ValidationError as error:
            raise BadInput(str(error)) from None
        names: Mapping[str, Any] = msgspec.structs.asdict(arguments)
        return {name: given for name, given in names.items() if given is not msgspec.UNSET}


def content_of(result: Any) -> tuple[ContentBlock, ...]:
    """Give a result's content blocks: blocks as they are, text as text, None as nothing, the rest as JSON.

    Raises:
        TypeError: it is no JSON.
    """
    if isinstance(result, str):
        return (TextBlock(text=result),)
    if result is None:
        return ()
    if isinstance(result, _BLOCKS):
        return (result,)
    if isinstance(result, list | tuple):
        items = cast("list[Any]", result)
        if items and all(isinstance(item, _BLOCKS) for item in items):
            return tuple(items)
    return (TextBlock(text=msgspec.json.encode(result).decode()),)


def _unwrapped(function: Function) -> Function:
    """Give what a partial, a callable object or a decorated function comes down to."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    return function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004 - its kind is wanted, not whether it has one


def _arguments_of(name: str, function: Function) -> type[msgspec.Struct]:
    """Make a type of a function's parameters."""
    hints = typing.get_type_hints(_unwrapped(function), include_extras=True)
    fields: list[tuple[str, Any, Any]] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"Tool {name!r}: {parameter} cannot be given by name; pass an input_schema.")
        hint = hints.get(parameter.name, Any)
        if parameter.default is parameter.empty:
            fields.append((parameter.name, hint, msgspec.NODEFAULT))
        else:  # The function's own default is used, whatever it is.
            fields.append((parameter.name, hint | msgspec.UnsetType, msgspec.UNSET))
    return msgspec.defstruct(name.replace("-", "_"), fields, kw_only=True, forbid_unknown_fields=True)


def _schema_of(arguments: type[msgspec.Struct] | None) -> dict[str, Any]:
    """Give the JSON Schema of an object: the type's own, with what it refers to beside it."""
    assert arguments is not None
    (reference,), definitions = msgspec.json.schema_components([arguments], ref_template=_REFERENCES)
    schema: dict[str, Any] = definitions.pop(reference["$ref"].rpartition("/")[2])
    schema.pop("title", None)
    return {**schema, "$defs": definitions} if definitions else schema
