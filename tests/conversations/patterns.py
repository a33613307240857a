"""Patterns of a conversation file, and the variables they capture. Pure.

A pattern is a JSON value. What it names must be so; members it does not name may be anything.

    {a: 1, b: <absent>}   an object whose `a` is 1 and that has no `b`
    [1, <any>]            a list of exactly two
    $name=                anything; remembered as `name`
    $name, $name+1        what was remembered, or that number plus one
    <any> <int> <string> <absent>
    <contains TEXT> <matches REGEX> <at least N> <one of A B C>

In params, `$name`, `$name+1` and `${name}` inside a text stand for what was remembered, and
`{$repeat: [TEXT, N]}` for a long text; patterns may use that too.
"""

import re
from collections.abc import Callable
from typing import Any, Final

Variables = dict[str, Any]

_REFERENCE: Final = re.compile(r"\$([a-z_][a-z0-9_]*)([+-]\d+)?")
_CAPTURE: Final = re.compile(r"\$([a-z_][a-z0-9_]*)=")
_INSIDE: Final = re.compile(r"\$\{([a-z_][a-z0-9_]*)\}")
_MATCHER: Final = re.compile(
    r"<(any|int|string|absent|contains|matches|at least|one of)(?: (.*))?>", re.DOTALL
)
_REPEAT: Final = "$repeat"


class Mismatch(AssertionError):
    """A value is not what the pattern says; the message begins with its place."""


def expand(template: Any, variables: Variables) -> Any:
    """Give a template with its references replaced.

    Raises:
        KeyError: nothing was remembered under that name.
    """
    match template:
        case str():
            return _expand_text(template, variables)
        case dict() if _REPEAT in template:
            text, times = template[_REPEAT]
            return _expand_text(text, variables) * times
        case dict():
            return {key: expand(value, variables) for key, value in template.items()}
        case list():
            return [expand(item, variables) for item in template]
        case _:
            return template


def check(pattern: Any, value: Any, variables: Variables, place: str = "$") -> None:
    """Compare a value with a pattern; remember what it captures.

    Raises:
        Mismatch: they differ.
    """
    match pattern:
        case str():
            _check_text(pattern, value, variables, place)
        case dict() if _REPEAT not in pattern:
            _check_object(pattern, value, variables, place)
        case list():
            if not isinstance(value, list) or len(value) != len(pattern):
                raise Mismatch(f"{place}: expected a list of {len(pattern)}, got {short(value)}")
            for index, (wanted, item) in enumerate(zip(pattern, value, strict=True)):
                check(wanted, item, variables, f"{place}[{index}]")
        case _:
            _check_equal(expand(pattern, variables), value, place)


def short(value: Any) -> str:
    """Give a value for a message."""
    text = repr(value)
    return text if len(text) <= 600 else f"{text[:300]} … {text[-300:]}"


def _expand_text(text: str, variables: Variables) -> Any:
    whole = _REFERENCE.fullmatch(text)
    if whole is None:
        return _INSIDE.sub(lambda found: str(variables[found[1]]), text)
    value = variables[whole[1]]
    return value + int(whole[2]) if whole[2] else value


def _check_text(pattern: str, value: Any, variables: Variables, place: str) -> None:
    capture = _CAPTURE.fullmatch(pattern)
    if capture is not None:
        variables[capture[1]] = value
        return
    matcher = _MATCHER.fullmatch(pattern)
    if matcher is None:
        _check_equal(_expand_text(pattern, variables), value, place)
    elif not _MATCHERS[matcher[1]](value, str(_expand_text(matcher[2] or "", variables))):
        raise Mismatch(f"{place}: expected {pattern}, got {short(value)}")


def _check_object(pattern: dict[str, Any], value: Any, variables: Variables, place: str) -> None:
    if not isinstance(value, dict):
        raise Mismatch(f"{place}: expected an object, got {short(value)}")
    for key, wanted in pattern.items():
        if wanted == "<absent>":
            if key in value:
                raise Mismatch(f"{place}.{key}: expected no such member, got {short(value[key])}")
        elif key not in value:
            raise Mismatch(
                f"{place}.{key}: expected {short(wanted)}, there is no such member in {short(value)}"
            )
        else:
            check(wanted, value[key], variables, f"{place}.{key}")


def _check_equal(wanted: Any, value: Any, place: str) -> None:
    # In Python true equals 1; in JSON it does not.
    if wanted != value or isinstance(wanted, bool) != isinstance(value, bool):
        raise Mismatch(f"{place}: expected {short(wanted)}, got {short(value)}")


_MATCHERS: Final[dict[str, Callable[[Any, str], bool]]] = {
    "any": lambda _value, _argument: True,
    "int": lambda value, _argument: isinstance(value, int) and not isinstance(value, bool),
    "string": lambda value, _argument: isinstance(value, str) and bool(value),
    "contains": lambda value, argument: isinstance(value, str) and argument in value,
    "matches": lambda value, argument: isinstance(value, str) and re.search(argument, value) is not None,
    "at least": lambda value, argument: isinstance(value, int) and value >= int(argument),
    "one of": lambda value, argument: value in argument.split(),
}
