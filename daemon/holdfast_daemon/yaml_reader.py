"""Reads YAML into a `plain_tree`. The one module that imports PyYAML: import it on first use.

Only what JSON can say: no aliases (a short text could stand for an enormous tree), no tags, no dates, string
keys, each once. Uses the loader written in Python: its recursion is bounded, the C one's stack is not.
"""

import math
from typing import Final, cast

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from holdfast_daemon.plain_tree import Items, Member, Members, Plain, Scalar, Tree

_SCALARS: Final = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null"))


class BadYaml(Exception):
    """A text is not YAML, or more than JSON can say; the message begins with the line, as `line 3: …`."""


def load(text: str) -> Tree:
    """Read one document.

    Raises:
        BadYaml: it is not YAML, or more than JSON can say; names the line, from 1.
    """
    try:
        return _Walk().tree(_compose(text))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadYaml(f"line {line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise BadYaml(f"not YAML: {error}") from error
    except RecursionError as error:
        raise BadYaml("nested too deeply") from error


def _compose(text: str) -> Node:
    node = cast("Node | None", yaml.compose(text, Loader=yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType] - untyped stub
    if node is None:
        raise BadYaml("line 1: the document is empty")
    return node


class _Walk:
    """One pass over the nodes of a document."""

    def __init__(self) -> None:
        self._loader = yaml.SafeLoader("")  # Turns scalars into values.
        self._seen: set[int] = set()  # Nodes met, by id: an alias is the same node again.

    def tree(self, node: Node) -> Tree:
        if id(node) in self._seen:
            raise BadYaml(f"line {_line(node)}: aliases are not allowed")
        self._seen.add(id(node))
        match node:
            case SequenceNode():
                return Items(_line(node), tuple(self.tree(item) for item in node.value))
            case MappingNode():
                return Members(_line(node), self._members(node))
            case _:
                return Scalar(_line(node), self._scalar(node))

    def _members(self, node: MappingNode) -> tuple[Member, ...]:
        members: dict[str, Member] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if not isinstance(key, Scalar) or not isinstance(key.value, str):
                raise BadYaml(f"line {key.line}: a key must be a string")
            if key.value in members:
                raise BadYaml(f"line {key.line}: the key `{key.value}` stands twice")
            members[key.value] = Member(key.line, key.value, self.tree(value_node))
        return tuple(members.values())

    def _key(self, node: Node) -> Tree:
        """Give a key; `on`, `off`, `yes`, `no` are words there, though YAML 1.1 takes them for booleans."""
        if isinstance(node, ScalarNode) and node.tag == "tag:yaml.org,2002:bool":
            return Scalar(_line(node), node.value)
        return self.tree(node)

    def _scalar(self, node: Node) -> Plain:
        if not isinstance(node, ScalarNode) or node.tag not in _SCALARS:
            kind = node.tag.rpartition(":")[2]
            raise BadYaml(f"line {_line(node)}: a {kind} is not allowed; quote it to make it a string")
        try:
            value = cast("Plain", self._loader.construct_object(node))  # pyright: ignore[reportUnknownMemberType] - untyped stub
        except (ValueError, LookupError) as error:
            raise BadYaml(f"line {_line(node)}: {error}") from error
        if not _json_can_say(value):
            raise BadYaml(f"line {_line(node)}: JSON has no such number or character")
        return value


def _json_can_say(value: Plain) -> bool:
    match value:
        case str():
            return not any("\ud800" <= char <= "\udfff" for char in value)
        case bool() | None:
            return True
        case int():
            return -(2**63) <= value < 2**64
        case float():
            return math.isfinite(value)


def _line(node: Node) -> int:
    return node.start_mark.line + 1
