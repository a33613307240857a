"""Scripts of the offline model: YAML to steps (docs/offline.md). Pure; the steps are played elsewhere.

PyYAML is imported on first use: most daemons never read a script.
"""

import functools
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from holdfast_daemon.models.offline_steps import (
    BREAKS,
    CHARS_MAX,
    Action,
    BadScript,
    Call,
    Fail,
    Garbage,
    Hang,
    Interleave,
    SetCost,
    SetUsage,
    Step,
    Stop,
    Text,
    Thinking,
)
from holdfast_daemon.plain_tree import Items, Member, Members, Tree, as_json

SCRIPT_CHARS_MAX: Final = CHARS_MAX
"""The longest script; its loader takes under a second for so much."""

STEPS_MAX: Final = 10_000
ACTIONS_PER_STEP_MAX: Final = 1000

_HEAD: Final = re.compile(r"script:[ \t]*(#.*)?")
_PATH: Final = re.compile(r"`\$\.(\w+)")

_ACTIONS: Final[dict[str, tuple[type[Action], str | None]]] = {
    "text": (Text, "value"),
    "thinking": (Thinking, "value"),
    "call": (Call, None),
    "interleave": (Interleave, None),
    "usage": (SetUsage, None),
    "cost": (SetCost, "amount"),
    "stop": (Stop, "reason"),
    "error": (Fail, None),
    "hang": (Hang, "forever"),
    "garbage": (Garbage, "message"),
}
"""Key of an action: its type, and the field a value that is no map stands for."""


def is_script(text: str) -> bool:
    """Whether a prompt is a script: its first line, comments, `---` and blank lines apart, is `script:`."""
    for line in text.splitlines():
        if line.strip() and line != "---" and not line.startswith("#"):
            return _HEAD.fullmatch(line.rstrip()) is not None
    return False


@functools.lru_cache(maxsize=8)  # Every step of a run reads the script again.
def parse_script(text: str) -> tuple[Step, ...]:
    """Give a script's steps, repeated ones as often as they are to be played.

    Raises:
        BadScript: the text is too long or no script; names line and key and the nearest known key.
    """
    from holdfast_daemon import yaml_reader  # noqa: PLC0415 - brings PyYAML in

    if len(text) > SCRIPT_CHARS_MAX:
        raise BadScript(f"the script is longer than {SCRIPT_CHARS_MAX} characters")
    try:
        document = yaml_reader.load(text)
    except yaml_reader.BadYaml as error:
        raise BadScript(str(error)) from error
    (script,) = _fields(document, "the document", ("script",))
    return tuple(_steps(script.value, "script"))


def _steps(tree: Tree, where: str) -> list[Step]:
    steps: list[Step] = []
    for item in _items(tree, where):
        members = _members(item)
        if any(member.key in ("repeat", "steps") for member in members):
            steps += _repeated(item)
        else:
            steps.append(_step(item))
        if len(steps) > STEPS_MAX:
            raise BadScript(f"line {item.line}: more than {STEPS_MAX} steps")
    if not steps:
        raise BadScript(f"line {tree.line}: `{where}` has no steps")
    return steps


def _repeated(tree: Tree) -> list[Step]:
    repeat, steps = _fields(tree, "a repetition", ("repeat", "steps"))
    times = as_json(repeat.value)
    if not isinstance(times, int) or isinstance(times, bool) or not 1 <= times <= STEPS_MAX:
        raise BadScript(f"line {repeat.line}: `repeat` takes a number from 1 to {STEPS_MAX}")
    once = _steps(steps.value, "steps")
    if len(once) * times > STEPS_MAX:
        raise BadScript(f"line {repeat.line}: more than {STEPS_MAX} steps")
    return once * times


def _step(tree: Tree) -> Step:
    parts = _items(tree, "a step") if not _members(tree) else [tree]
    actions = [action for part in parts for member in _members(part) for action in _actions(member)]
    if not actions:
        raise BadScript(f"line {tree.line}: a step is a map of actions, or a list of such maps")
    if len(actions) > ACTIONS_PER_STEP_MAX:
        raise BadScript(f"line {tree.line}: more than {ACTIONS_PER_STEP_MAX} actions in a step")
    _check_open_blocks(actions, tree.line)
    return tuple(actions)


def _check_open_blocks(actions: list[Action], line: int) -> None:
    """A block may stay open only if the response breaks off."""
    left_open = [at for at, action in enumerate(actions) if not getattr(action, "end", True)]
    breaks = [at for at, action in enumerate(actions) if isinstance(action, BREAKS)]
    if left_open and (not breaks or breaks[0] < left_open[-1]):
        raise BadScript(f"line {line}: after `end: false` must come `error`, `hang` or `garbage`")


def _actions(member: Member) -> list[Action]:
    if member.key not in _ACTIONS:
        raise _unknown(member, "an action", _ACTIONS)
    action_type, shorthand = _ACTIONS[member.key]
    several = _elements(member.value) if member.key == "call" else ()
    return [_action(member, value, action_type, shorthand) for value in several or (member.value,)]


def _action(member: Member, tree: Tree, action_type: type[Action], shorthand: str | None) -> Action:
    known = msgspec.structs.fields(action_type)
    members = _members(tree)
    value = as_json(tree)
    if not isinstance(tree, Members):
        if shorthand is None:
            raise BadScript(f"line {member.line}: `{member.key}` takes a map")
        value = {shorthand: value}
    for inner in members:
        if inner.key not in {field.name for field in known}:
            raise _unknown(inner, f"`{member.key}`", [field.name for field in known])
    try:
        return msgspec.convert(value, action_type)
    except msgspec.ValidationError as error:
        found = _PATH.search(str(error))
        at = next((inner for inner in members if found and inner.key == found[1]), member)
        raise BadScript(f"line {at.line}: `{member.key}`: {error}") from error


def _fields(tree: Tree, where: str, names: tuple[str, ...]) -> list[Member]:
    """Give the members of a map that has exactly these keys, in this order."""
    members = {member.key: member for member in _members(tree)}
    for member in members.values():
        if member.key not in names:
            raise _unknown(member, where, names)
    for name in names:
        if name not in members:
            raise BadScript(f"line {tree.line}: {where} needs the key `{name}`")
    return [members[name] for name in names]


def _unknown(member: Member, where: str, known: Iterable[str]) -> BadScript:
    names = list(known)
    import difflib  # noqa: PLC0415 - only after a mistake

    near = difflib.get_close_matches(member.key, names, n=1, cutoff=0.0)
    hint = f"did you mean `{near[0]}`?" if near else ""
    return BadScript(f"line {member.line}: unknown key `{member.key[:64]}` in {where}; {hint}")


def _items(tree: Tree, where: str) -> tuple[Tree, ...]:
    items = _elements(tree)
    if not items:
        raise BadScript(f"line {tree.line}: `{where}` takes a list")
    return items


def _elements(tree: Tree) -> tuple[Tree, ...]:
    """Give a list's items; none of anything else."""
    return tree.items if isinstance(tree, Items) else ()


def _members(tree: Tree) -> tuple[Member, ...]:
    """Give a map's members; none of anything else."""
    return tree.members if isinstance(tree, Members) else ()
