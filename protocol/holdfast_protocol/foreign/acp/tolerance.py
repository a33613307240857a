"""From plain JSON to a type, as leniently as the type's marks allow (`base`).

What fits is converted at once. Only what does not is looked at member by member: a marked one that does not
fit is left out, so that its default holds; what is not marked stays wrong, and the conversion says where.
"""

from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect

from holdfast_protocol.foreign.acp.base import ITEMS, ON_ERROR, ON_NULL

T = TypeVar("T")


def convert(value: Any, kind: type[T]) -> T:
    """Give a value of a type.

    Args:
        value: plain JSON, not changed.
        kind: a Struct of this package.

    Raises:
        msgspec.ValidationError: a member that must be there and right is not; the message has its path.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return msgspec.convert(_cleaned(value, _info(kind)), kind)


@cache
def _info(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _cleaned(value: Any, info: inspect.Type) -> Any:
    """Give a value without the marked parts that do not fit."""
    match info:
        case inspect.Metadata():
            return _cleaned(value, info.type)
        case inspect.UnionType():
            chosen = [option for option in info.types if _could_be(value, option)]
            return _cleaned(value, chosen[0]) if chosen else value
        case inspect.StructType() if isinstance(value, dict):
            return _cleaned_members(cast("dict[str, Any]", value), info)
        case inspect.VarTupleType() if isinstance(value, list):
            return [_cleaned(item, info.item_type) for item in cast("list[Any]", value)]
        case _:
            return value


def _could_be(value: Any, option: inspect.Type) -> bool:
    """Tell whether a value is meant to be of one of a union's types."""
    if isinstance(option, inspect.StructType):
        if not isinstance(value, dict):
            return False
        members = cast("dict[str, Any]", value)
        return option.tag_field is None or members.get(option.tag_field) == option.tag
    return isinstance(option, inspect.VarTupleType) and isinstance(value, list)


def _cleaned_members(value: dict[str, Any], info: inspect.StructType) -> dict[str, Any]:
    fields = {field.encode_name: field for field in info.fields}
    cleaned: dict[str, Any] = {}
    for name, member in value.items():
        if name not in fields:
            cleaned[name] = member
            continue
        keep, fitting = _member(member, fields[name].type)
        if keep:
            cleaned[name] = fitting
    return cleaned


def _member(value: Any, info: inspect.Type) -> tuple[bool, Any]:
    """Tell whether to keep a member, and give it without what does not fit in it."""
    marks = cast("dict[str, bool]", info.extra or {}) if isinstance(info, inspect.Metadata) else {}  # pyright: ignore[reportUnknownMemberType] - a plain dict there
    if marks.get(ON_NULL) and value is None:
        return False, None
    value = _cleaned(value, info)
    if marks.get(ITEMS) and isinstance(value, list):
        item_type = _item_type(info)
        value = [item for item in cast("list[Any]", value) if _fits(item, item_type)]
    return not marks.get(ON_ERROR) or _fits(value, info), value


def _item_type(info: inspect.Type) -> inspect.Type:
    """Give the type of a list's items; the list may be one of two, the other being null."""
    match info:
        case inspect.Metadata():
            return _item_type(info.type)
        case inspect.UnionType():
            lists = [option for option in info.types if isinstance(option, inspect.VarTupleType)]
            return _item_type(lists[0])
        case inspect.VarTupleType():
            return info.item_type
        case _:
            return info


def _fits(value: Any, info: inspect.Type) -> bool:
    try:
        msgspec.convert(value, _python_type(info))
    except msgspec.ValidationError:
        return False
    return True


def _python_type(info: inspect.Type) -> Any:
    """Give the type that was inspected, as far as this package's types go."""
    match info:
        case inspect.Metadata():
            return _python_type(info.type)
        case inspect.StructType():
            return info.cls
        case inspect.VarTupleType():
            return tuple[_python_type(info.item_type), ...]
        case inspect.UnionType():
            options = [_python_type(option) for option in info.types]
            united = options[0]
            for option in options[1:]:
                united = united | option
            return united
        case _:
            return _SCALARS.get(type(info), _literal_or_any(info))


_SCALARS: dict[type[inspect.Type], Any] = {
    inspect.StrType: str,
    inspect.IntType: int,
    inspect.FloatType: float,
    inspect.BoolType: bool,
    inspect.NoneType: None,
    inspect.AnyType: Any,
    inspect.DictType: dict[str, Any],
}


def _literal_or_any(info: inspect.Type) -> Any:
    from typing import Literal  # noqa: PLC0415 - subscripted at run time only here

    return Literal[info.values] if isinstance(info, inspect.LiteralType) else Any
