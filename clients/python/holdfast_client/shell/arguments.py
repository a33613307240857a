"""Command lines: options, positionals, and errors that name what was meant. Knows no command.

Hand-rolled, because importing argparse costs as much as everything else a short command does.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from holdfast_client.shell.exit_codes import UsageError


class HelpWanted(Exception):
    """`--help` stood among the arguments."""


class Spec(NamedTuple):
    """What a command takes.

    Attributes:
        usage: its help text; the first line is how it is called.
        flags: options without a value, each with the name it is stored under: `{"--all": "all"}`.
        options: options with a value, likewise.
        choices: the values of an option that takes only some, by stored name.
        positionals: how many there may be, at least and at most; None for any number.
    """

    usage: str
    flags: Mapping[str, str] = {}
    options: Mapping[str, str] = {}
    choices: Mapping[str, tuple[str, ...]] = {}
    positionals: tuple[int, int | None] = (0, 0)


class Arguments(NamedTuple):
    """What was given. `flags` and `options` go by stored names."""

    positionals: list[str]
    flags: set[str]
    options: dict[str, str]

    def integer(self, name: str, minimum: int = 0) -> int | None:
        """Give an option that must be a whole number, None if it was not given.

        Raises:
            UsageError: it is something else, or too small.
        """
        text = self.options.get(name)
        if text is None:
            return None
        if not text.isascii() or not text.isdecimal() or int(text) < minimum:
            raise UsageError(f"--{name} takes a whole number of at least {minimum}, not {text!r}")
        return int(text)


def parse(argv: list[str], spec: Spec) -> Arguments:
    """Parse a command's arguments, without its own name. After `--` nothing is an option.

    Raises:
        HelpWanted: `-h` or `--help` is among them.
        UsageError: they do not fit the spec.
    """
    arguments = Arguments([], set(), {})
    rest = iter(argv)
    for word in rest:
        if word == "--":
            arguments.positionals.extend(rest)
        elif word.startswith("-") and word != "-":
            _option(word, rest, spec, arguments)
        else:
            arguments.positionals.append(word)
    _check_positionals(arguments.positionals, spec)
    return arguments


def _option(word: str, rest: Iterable[str], spec: Spec, arguments: Arguments) -> None:
    name, equals, value = word.partition("=")
    if name in ("-h", "--help"):
        raise HelpWanted
    if name in spec.flags:
        if equals:
            raise UsageError(f"{name} takes no value")
        arguments.flags.add(spec.flags[name])
    elif name in spec.options:
        stored = spec.options[name]
        arguments.options[stored] = _checked(name, value if equals else _next(name, rest), spec, stored)
    else:
        raise UsageError(f"unknown option {name}{meant(name, [*spec.flags, *spec.options, '--help'])}")


def _next(name: str, rest: Iterable[str]) -> str:
    for value in rest:
        return value
    raise UsageError(f"{name} needs a value")


def _checked(name: str, value: str, spec: Spec, stored: str) -> str:
    choices = spec.choices.get(stored)
    if choices is not None and value not in choices:
        raise UsageError(f"{name} takes {', '.join(choices)}, not {value!r}")
    return value


def _check_positionals(positionals: list[str], spec: Spec) -> None:
    least, most = spec.positionals
    if len(positionals) < least:
        raise UsageError(f"something is missing; usage: {spec.usage.splitlines()[0]}")
    if most is not None and len(positionals) > most:
        raise UsageError(f"unexpected argument {positionals[most]!r}")


def meant(word: str, known: Iterable[str]) -> str:
    """Give `, did you mean …?` if something known is close, else nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only after a mistake

    nearest = get_close_matches(word, list(known), n=1)
    return f", did you mean {nearest[0]}?" if nearest else ""
