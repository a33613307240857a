"""A document of plain values that knows its lines, so that errors can name them. Knows nothing of YAML."""

import msgspec

from holdfast_protocol.events import Json

Plain = str | int | float | bool | None


class Scalar(msgspec.Struct, frozen=True):
    """A string, number, boolean or null."""

    line: int
    value: Plain


class Items(msgspec.Struct, frozen=True):
    """A list."""

    line: int
    items: "tuple[Tree, ...]"


class Member(msgspec.Struct, frozen=True):
    """A key and its value; `line` is the key's."""

    line: int
    key: str
    value: "Tree"


class Members(msgspec.Struct, frozen=True):
    """A map, in the order of the text."""

    line: int
    members: tuple[Member, ...]


Tree = Scalar | Items | Members


def as_json(tree: Tree) -> Json:
    """Give the value without its lines."""
    match tree:
        case Scalar():
            return tree.value
        case Items():
            return [as_json(item) for item in tree.items]
        case Members():
            return {member.key: as_json(member.value) for member in tree.members}
