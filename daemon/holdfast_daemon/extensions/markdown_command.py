"""A slash command that is a Markdown text: an optional head in YAML, then the prompt. Pure.

---
description: Explain a file
---
Explain $ARGUMENTS to someone new.
"""

from typing import Final

import msgspec

from holdfast_daemon.plain_tree import Members, as_json

BODY_BYTES_MAX: Final = 64 * 1024
"""The largest Markdown file; a prompt has room for it several times over."""

DESCRIPTION_CHARACTERS_MAX: Final = 200
ARGUMENTS: Final = "$ARGUMENTS"


class MarkdownCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command: `prompt` is what `/name` stands for."""

    name: str
    prompt: str
    description: str = ""

    def expand(self, arguments: str) -> str:
        """Give the prompt with the arguments in their place, or behind it if it has none."""
        if ARGUMENTS in self.prompt:
            return self.prompt.replace(ARGUMENTS, arguments)
        return f"{self.prompt}\n\n{arguments}" if arguments.strip() else self.prompt


def parse_markdown(name: str, text: str) -> MarkdownCommand:
    """Read a Markdown file. A head that is no YAML belongs to the prompt.

    Args:
        name: the command's.
        text: the file's, at most `BODY_BYTES_MAX` bytes.
    """
    head, body = _split(text)
    description = _description(head) if head else ""
    if head and description is None:
        body, description = text, ""
    body = body.strip()
    first = body.splitlines()[0].lstrip("# ").strip() if body else ""
    description = " ".join((description or first).split())
    return MarkdownCommand(name=name, prompt=body, description=description[:DESCRIPTION_CHARACTERS_MAX])


def _split(text: str) -> tuple[str, str]:
    lines = text.splitlines(keepends=True)
    if not lines or lines[0].strip() != "---":
        return "", text
    for at, line in enumerate(lines[1:], start=1):
        if line.strip() == "---":
            return "".join(lines[1:at]), "".join(lines[at + 1 :])
    return "", text


def _description(head: str) -> str | None:
    """Give the head's description; None if the head is no YAML map."""
    from holdfast_daemon import yaml_reader  # noqa: PLC0415 - brings PyYAML in

    try:
        tree = yaml_reader.load(head)
    except yaml_reader.BadYaml:
        return None
    if not isinstance(tree, Members):
        return None
    values = {member.key: as_json(member.value) for member in tree.members}
    description = values.get("description")
    return description if isinstance(description, str) else ""
