"""Completion scripts for three shells, from the commands' SPECs. Pure; imports every command.

A script asks `holdfast ps` and `holdfast approvals` for ids; neither starts a daemon.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from holdfast_client.shell import commands, documents, usage_text
from holdfast_client.shell.arguments import Spec
from holdfast_client.shell.usage_text import Row
from holdfast_protocol.settings.resolve import KEYS

_IDS: Final = {
    "session": "holdfast ps 2>/dev/null | awk 'NR > 1 {print $1}'",
    "request": "holdfast approvals 2>/dev/null | awk 'NR > 1 {print $1}'",
}

_VERBS_WITH_KEY: Final = ("get", "set", "unset")


class Words(NamedTuple):
    """What one command can be completed with.

    Attributes:
        name: the command's.
        summary: one line about it.
        options: every spelling of every option, with its meaning.
        values: of options whose values are known, by each spelling: fixed words, or as `positional`; and of
            words of `config` that a key follows.
        takes_value: the options and words that take a value, all spellings.
        positional: what its first argument is: fixed words, or a shell command that prints them.
    """

    name: str
    summary: str
    options: Mapping[str, str]
    values: Mapping[str, tuple[str, ...] | str]
    takes_value: tuple[str, ...]
    positional: tuple[str, ...] | str


def words() -> list[Words]:
    """Give what each command can be completed with, in the order of the overview."""
    return [_words_of(name, summary) for name, summary in commands.SUMMARIES.items()]


def _words_of(name: str, summary: str) -> Words:
    spec: Spec = commands.load(name).SPEC
    meanings = _meanings(list(usage_text.read(spec.usage).rows()))
    options = {option: meanings.get(option, "") for option in [*spec.flags, *spec.options]}
    known: dict[str, tuple[str, ...] | str] = {"session": _IDS["session"], **spec.choices}
    values = {option: known[stored] for option, stored in spec.options.items() if stored in known}
    if name == "config":
        values.update(dict.fromkeys(_VERBS_WITH_KEY, tuple(sorted(KEYS))))
    takes_value = tuple({**spec.options, **values})
    return Words(name, summary, options, values, takes_value, _positional(name, spec))


def _meanings(rows: list[Row]) -> dict[str, str]:
    """Give what each spelling of an option means, without what follows a semicolon."""
    return {
        word.partition(" ")[0]: row.meaning.partition(";")[0]
        for row in rows
        for word in row.term.split(", ")
        if word.startswith("-")
    }


def _positional(name: str, spec: Spec) -> tuple[str, ...] | str:
    match spec.completes:
        case "session" | "request" as kind:
            return _IDS[kind]
        case "command":
            return tuple(documents.DOCUMENTS if name == "schema" else commands.SUMMARIES)
        case "shell" | "verb" as kind:
            return spec.choices[kind]
        case _:
            return ()


# bash -----------------------------------------------------------------------------------------------------


def bash(all_words: list[Words]) -> str:
    """Give the script for bash, 3.2 or newer."""
    names = " ".join(item.name for item in all_words)
    bare = _words_of("here", "")._replace(name="-*")  # `holdfast` with options, without a command.
    return f"""\
# holdfast completion for bash: eval "$(holdfast completion bash)"
_holdfast() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} found=''
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        case "$current" in
        -*) found='{" ".join([*bare.options, "--help", "--version"])}' ;;
        *) found='{names}' ;;
        esac
        COMPREPLY=($(compgen -W "$found" -- "$current"))
        return
    fi
    case "${{COMP_WORDS[1]}}" in
{"".join(map(_bash_case, [*all_words, bare]))}    esac
    COMPREPLY=($(compgen -W "$found" -- "$current"))
}}
complete -o default -F _holdfast holdfast
"""


def _bash_case(item: Words) -> str:
    by_value: dict[tuple[str, ...] | str, list[str]] = {}
    for option in item.takes_value:
        by_value.setdefault(item.values.get(option, ()), []).append(option)
    values = "".join(
        f"        {'|'.join(spellings)}) found={_bash_words(choices)} ;;\n"
        for choices, spellings in by_value.items()
    )
    return f"""\
    {item.name})
        case "$previous" in
{values}        *)
            case "$current" in
            -*) found='{" ".join([*item.options, "--help"])}' ;;
            *) found={_bash_words(item.positional)} ;;
            esac ;;
        esac ;;
"""


def _bash_words(known: tuple[str, ...] | str) -> str:
    return f"$({known})" if isinstance(known, str) else f"'{' '.join(known)}'"


# zsh ------------------------------------------------------------------------------------------------------


def zsh(all_words: list[Words]) -> str:
    """Give the script for zsh; needs compinit."""
    described = "\n".join(f"        {_quoted(f'{item.name}:{item.summary}')}" for item in all_words)
    return f"""\
#compdef holdfast
# holdfast completion for zsh: eval "$(holdfast completion zsh)"
_holdfast() {{
    local current=${{words[CURRENT]}} previous=${{words[CURRENT-1]}}
    local -a found
    if (( CURRENT == 2 )); then
        found=(
{described}
        )
        _describe command found
        return
    fi
    case ${{words[2]}} in
{"".join(map(_zsh_case, all_words))}    esac
    _files
}}
compdef _holdfast holdfast
"""


def _zsh_case(item: Words) -> str:
    values = "".join(
        f"        {option}) compadd -- {_plain_words(choices)}; return ;;\n"
        for option, choices in item.values.items()
    )
    free = [option for option in item.takes_value if option not in item.values]
    others = f"        {'|'.join(free)}) _files; return ;;\n" if free else ""
    cases = f"        case $previous in\n{values}{others}        esac\n" if values or others else ""
    described = " ".join(
        _quoted(f"{option}:{meaning}") for option, meaning in {**item.options, "--help": "explain"}.items()
    )
    return f"""\
    ({item.name})
{cases}        if [[ $current == -* ]]; then
            found=({described})
            _describe option found
            return
        fi
{_zsh_positional(item)}        ;;
"""


def _zsh_positional(item: Words) -> str:
    return f"        compadd -- {_plain_words(item.positional)}; return\n" if item.positional else ""


def _plain_words(known: tuple[str, ...] | str) -> str:
    return f"$({known})" if isinstance(known, str) else " ".join(known)


# fish -----------------------------------------------------------------------------------------------------


def fish(all_words: list[Words]) -> str:
    """Give the script for fish."""
    lines = [
        "# holdfast completion for fish: holdfast completion fish | source",
        "complete -c holdfast -f -n __fish_use_subcommand",
    ]
    for item in all_words:
        summary = _quoted(item.summary)
        lines.append(f"complete -c holdfast -n __fish_use_subcommand -a {item.name} -d {summary}")
        lines.extend(_fish_lines(item))
    return "\n".join(lines) + "\n"


def _fish_lines(item: Words) -> list[str]:
    prefix = f"complete -c holdfast -n '__fish_seen_subcommand_from {item.name}'"
    lines = [f"{prefix} {_fish_option(item, option, meaning)}" for option, meaning in item.options.items()]
    if item.positional:
        lines.append(f"{prefix} -f -a {_fish_words(item.positional)}")
    return lines


def _fish_option(item: Words, option: str, meaning: str) -> str:
    spelling = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
    value = ""
    if option in item.values:
        value = f" -x -a {_fish_words(item.values[option])}"
    elif option in item.takes_value:
        value = " -r"
    return f"{spelling}{value} -d {_quoted(meaning)}"


def _fish_words(known: tuple[str, ...] | str) -> str:
    return _quoted(f"({known})" if isinstance(known, str) else " ".join(known))


def _quoted(text: str) -> str:
    """Quote for all three: none of them reads anything inside single quotes."""
    return "'" + text.replace("'", "'\\''") + "'"


MAKERS: Final[dict[str, Callable[[list[Words]], str]]] = {"bash": bash, "zsh": zsh, "fish": fish}
