"""One setting: its name, its kind, its bounds; whether a value fits, and how text becomes a value."""

import json
import re
from typing import Any, Final, Literal, NamedTuple, cast

Kind = Literal["boolean", "integer", "number", "string", "strings", "tables"]

OFF: Final = "off"
"""How a file, a variable or a flag says that there is no value, where there may be none."""


class Key(NamedTuple):
    """A setting.

    Attributes:
        name: section and name, `net.connections_max`; a list of tables has no section.
        kind: `strings` is a list, `tables` a list of tables.
        default: None if there is no value unless somebody sets one.
        minimum: of a number, inclusive; of a string or a list, its length.
        maximum: likewise.
        choices: all values there are; empty if there are others.
        pattern: a regular expression the string matches.
        form: that in words, as `package.module:function`.
        may_be_off: `off` may stand instead of a value.
        required: in a table, it must be given.
        not_over: the name of a setting whose value this one must not exceed.
        variable: the environment variable that sets it; empty if none does.
        flag: the option of `holdfastd` that sets it; empty if only `--set` does.
        summary: what it does, one sentence; of a limit, docs/limits.md says it.
        fields: of `tables`, what each has; of `strings`, the one thing all items are.
    """

    name: str
    kind: Kind
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    form: str = ""
    may_be_off: bool = False
    required: bool = False
    not_over: str = ""
    variable: str = ""
    flag: str = ""
    summary: str = ""
    fields: tuple["Key", ...] = ()

    @property
    def section(self) -> str:
        """The table of the file it stands in; empty for the top."""
        return self.name.rpartition(".")[0]

    @property
    def bare(self) -> str:
        """Its name within its section."""
        return self.name.rpartition(".")[2]

    @property
    def is_of_command(self) -> bool:
        """Whether the command reads it; the daemon reads all others."""
        return self.section == "command"


class Misfit(Exception):
    """A value does not fit its setting.

    Attributes:
        expected: what would fit, as `a whole number from 1 to 64`.
        given: what was there, shortened.
    """

    def __init__(self, expected: str, given: str) -> None:
        super().__init__(f"expected {expected}, got {given}")
        self.expected = expected
        self.given = given


def fit(key: Key, given: object) -> Any:
    """Give a value as it is used: numbers as float, lists as tuples, `off` as None.

    Args:
        key: the setting.
        given: what TOML made of the file's text.

    Raises:
        Misfit: it is of another type, or out of bounds.
    """
    if key.may_be_off and given == OFF:
        return None
    value = _FITTING[key.kind](key, given)
    if value is None:
        raise Misfit(expected(key), shown(given))
    return value


def read(key: Key, text: str) -> Any:
    """Give the value that a variable or a flag spells.

    Raises:
        Misfit: the text is no such value.
    """
    match key.kind:
        case "boolean":
            return fit(key, {"true": True, "false": False}.get(text.strip(), text))
        case "integer" | "number":
            return fit(key, _number(text))
        case "strings":
            return fit(key, [part.strip() for part in text.split(",") if part.strip()])
        case _:
            return fit(key, text)


def toml_value(key: Key, value: Any) -> Any:
    """Give a value as a file holds it: the other direction of `fit`."""
    if value is None:
        return OFF
    return list(value) if key.kind == "strings" else value


def expected(key: Key) -> str:
    """Say what fits, with an article."""
    said = f"one of {', '.join(key.choices)}" if key.choices else key.form or _NOUNS[key.kind] + _bounds(key)
    return f'"{OFF}" or {said}' if key.may_be_off else said


def shown(value: object, length_max: int = 60) -> str:
    """Give a value as one short line, in TOML's way of writing; `off` for none."""
    if value is None:
        return OFF
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):  # A date, or not a tree of plain values.
        text = str(value)
    return text if len(text) <= length_max else text[: length_max - 1] + "…"


def _boolean(_key: Key, given: object) -> bool | None:
    return given if isinstance(given, bool) else None


def _integer(key: Key, given: object) -> int | None:
    return given if type(given) is int and _is_within(key, given) else None


def _bounded(key: Key, given: object) -> float | None:
    if type(given) is not int and type(given) is not float:
        return None
    return float(given) if _is_within(key, given) else None


def _string(key: Key, given: object) -> str | None:
    if not isinstance(given, str) or (key.choices and given not in key.choices):
        return None
    matches = not key.pattern or re.search(key.pattern, given) is not None
    return given if matches and _is_within(key, len(given)) else None


def _strings(key: Key, given: object) -> tuple[str, ...] | None:
    if not isinstance(given, list) or not _is_within(key, len(cast("list[object]", given))):
        return None
    return tuple(fit(key.fields[0], item) for item in cast("list[object]", given))


def _tables(key: Key, given: object) -> tuple[dict[str, Any], ...] | None:
    if not isinstance(given, list) or not _is_within(key, len(cast("list[object]", given))):
        return None
    tables = cast("list[object]", given)
    if not all(isinstance(table, dict) for table in tables):
        return None
    return tuple(_table(key, cast("dict[str, object]", table)) for table in tables)


def _table(key: Key, given: dict[str, object]) -> dict[str, Any]:
    """Give one table's values, with defaults; unknown names are found by `document.misplaced`."""
    values: dict[str, Any] = {}
    for field in key.fields:
        if field.bare in given:
            try:
                values[field.bare] = fit(field, given[field.bare])
            except Misfit as misfit:
                raise Misfit(f"{field.bare} to be {misfit.expected}", misfit.given) from None
        elif field.required:
            raise Misfit(f"each to have {field.bare}", shown(given))
        else:
            values[field.bare] = field.default
    return values


_FITTING: Final = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _bounded,
    "string": _string,
    "strings": _strings,
    "tables": _tables,
}

_NOUNS: Final = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "a string",
    "strings": "a list of strings",
    "tables": "a list of tables",
}


def _is_within(key: Key, amount: float) -> bool:
    """Tell whether a number or length is in bounds; of what has bounds, what is no number never is."""
    return (key.minimum is None or amount >= key.minimum) and (key.maximum is None or amount <= key.maximum)


def _number(text: str) -> object:
    """Give the number a text is, the text itself if it is none."""
    stripped = text.strip()
    if not re.fullmatch(r"[+-]?\d{1,20}(\.\d{1,20})?", stripped, re.ASCII):
        return stripped
    return float(stripped) if "." in stripped else int(stripped)


def _bounds(key: Key) -> str:
    if key.maximum is None:
        return ""
    if key.kind in ("strings", "tables"):
        return f" with at most {_amount(key.maximum)}"
    bounds = f"{_amount(key.minimum or 0)} to {_amount(key.maximum)}"
    return f" of {bounds} characters" if key.kind == "string" else f" from {bounds}"


def _amount(amount: float) -> str:
    return f"{int(amount)}" if amount == int(amount) else f"{amount:g}"
