"""Command lines: options, positionals, and errors that name what was meant. Knows no command.

Hand-rolled, because importing argparse costs as much as everything else a short command does.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from holdfast_client.shell.exit_codes import UsageError

_LIKENESS: Final = 0.7
"""Of what is suggested: two letters exchanged in a word of four are 0.75."""


class HelpWanted(Exception):
    """`--help` stood among the arguments."""


class Spec(NamedTuple):
    """What a command takes.

    Attributes:
        usage: its help text, as `usage_text` reads it; the first line is how it is called.
        flags: options without a value, each with the name it is stored under: `{"--all": "all"}`.
        options: options with a value, likewise.
        choices: the values of an option that takes only some, by stored name.
        positionals: how many there may be, at least and at most; None for any number.
        completes: what the first positional names, for completion.
        passes_on: whether it takes any words at all, options too, to pass them on.
    """

    usage: str
    flags: Mapping[str, str] = {}
    options: Mapping[str, str] = {}
    choices: Mapping[str, tuple[str, ...]] = {}
    positionals: tuple[int, int | None] = (0, 0)
    completes: Literal["session", "request", "command", "shell", "verb", "file", "nothing"] = "nothing"
    passes_on: bool = False


class Arguments(NamedTuple):
    """What was given. `flags` and `options` go by stored names.

    Attributes:
        preferences: what the user has set for options that were not given; a command asks for those it heeds.
    """

    positionals: list[str]
    flags: set[str]
    options: dict[str, str]
    preferences: Mapping[str, str] = {}

    def chosen(self, name: str, default: str) -> str:
        """Give an option, else what the user prefers, else the default."""
        return self.options.get(name) or self.preferences.get(name) or default

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

    def amount(self, name: str) -> float | None:
        """Give an option that must be a number above zero, None if it was not given.

        Raises:
            UsageError: it is something else.
        """
        text = self.options.get(name)
        if text is None:
            return None
        whole, _, fraction = text.partition(".")
        digits = whole + fraction
        if not digits.isascii() or not digits.isdecimal() or float(text) <= 0:
            raise UsageError(f"--{name} takes a number above 0, not {text!r}")
        return float(text)

    def choice(self, place: int, choices: tuple[str, ...]) -> str:
        """Give a positional that must be one of some words.

        Raises:
            UsageError: it is something else.
        """
        word = self.positionals[place]
        if word not in choices:
            raise UsageError(f"{word!r} is none of {', '.join(choices)}")
        return word

    def one_of(self, *names: str) -> str | None:
        """Give the one flag of these that was given, None if none was.

        Raises:
            UsageError: several were.
        """
        given = [name for name in names if name in self.flags]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(f'--{name}' for name in given)} exclude each other")
        return given[0] if given else None


def parse(argv: list[str], spec: Spec) -> Arguments:
    """Parse a command's arguments, without its own name. After `--` nothing is an option.

    Raises:
        HelpWanted: `-h` or `--help` is among them.
        UsageError: they do not fit the spec.
    """
    arguments = Arguments([], set(), {})
    if spec.passes_on:
        return _pass_on(argv, arguments)
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


def _pass_on(argv: list[str], arguments: Arguments) -> Arguments:
    if argv and argv[0] in ("-h", "--help"):
        raise HelpWanted
    arguments.positionals.extend(argv[1:] if argv and argv[0] == "--" else argv)
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

    nearest = get_close_matches(word, list(known), n=1, cutoff=_LIKENESS)
    return f", did you mean {nearest[0]}?" if nearest else ""
