"""What a plugin.yaml says, as types. Reading it is `manifest_reader`'s; nothing here runs anything.

Field names are the keys of the file; `line` is where an entry begins, for errors that show up later.
"""

from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

from holdfast_protocol.events import Json, Mode

MANIFEST_NAME: Final = "plugin.yaml"

MANIFEST_BYTES_MAX: Final = 256 * 1024
"""PyYAML's Python loader reads that much in about a second."""

ENTRIES_MAX: Final = 64
"""Entries of one section."""

Event = Literal["pre_tool_use", "post_tool_use", "prompt_received", "run_completed"]
"""When a hook runs."""

PluginName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z", description="letters, digits, `_` and `-`, at most 64"
    ),
]
ToolName = Annotated[
    str,
    Meta(
        pattern=r"^(?!mcp__)[A-Za-z][A-Za-z0-9_-]{0,63}\Z",
        description="a letter, then letters, digits, `_` and `-`, at most 64, without `mcp__` in front",
    ),
]
ServerName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9-]|_(?!_)){0,31}\Z",
        description="letters, digits, `-` and single `_`, at most 32",
    ),
]
Target = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z",
        max_length=256,
        description="package.module:name",
    ),
]
_Text = Annotated[str, Meta(min_length=1, max_length=4096)]
_Word = Annotated[
    str, Meta(min_length=1, max_length=4096, pattern=r"^[^\x00]*\Z", description="a text without NUL")
]
_Long = Annotated[str, Meta(max_length=64 * 1024)]
_Seconds = Annotated[float, Meta(gt=0, le=3600)]
_Url = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s@/?#]+(?:[/?][^\s#]*)?\Z",
        max_length=2048,
        description="an http or https address without a user",
    ),
]
_Variable = Annotated[
    str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z", description="the name of a variable")
]
_Header = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}\Z", description="the name of a header")
]
_HeaderValue = Annotated[
    str, Meta(pattern=r"^[^\r\n\x00]*\Z", max_length=8192, description="one line of text")
]
_Words = Annotated[tuple[_Word, ...], Meta(max_length=256)]
_Command = Annotated[tuple[_Word, ...], Meta(min_length=1, max_length=256)]
_Names = Annotated[tuple[_Text, ...], Meta(max_length=256)]
_Dollars = Annotated[float, Meta(ge=0, le=1_000_000)]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of a section. `line` counts from 1."""

    line: int = 0


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars for a million tokens of each class; None is the price of `input`."""

    input: _Dollars
    output: _Dollars
    cache_read: _Dollars | None = None
    cache_write: _Dollars | None = None


class ModelEntry(Entry, frozen=True, kw_only=True):
    """A model for the catalogue.

    Attributes:
        provider: whose wire it speaks, as `anthropic`, `openai`, `openai_compat`.
        name: what the provider calls it; `model` is the same key under another name.
        base_url: where it is, if not where the provider is.
        api_key_env: the variable that holds the key.
        context: its window in tokens.
    """

    provider: PluginName
    name: _Text | None = None
    model: _Text | None = None
    base_url: _Url | None = None
    api_key_env: _Variable | None = None
    context: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    price: Price | None = None

    def __post_init__(self) -> None:
        if (self.name is None) == (self.model is None):
            raise ValueError("give either `model` or `name`")

    @property
    def called(self) -> str:
        """What the provider calls the model."""
        name = self.name or self.model
        assert name is not None
        return name


class SkillEntry(Entry, frozen=True, kw_only=True):
    """A Python function as a tool; name, schema and description come from it unless given."""

    module: Target
    name: ToolName | None = None
    description: _Text | None = None
    timeout: _Seconds = 120.0


class CommandEntry(Entry, frozen=True, kw_only=True):
    """A program as a tool.

    Attributes:
        command: absolute, a name on the session's PATH, or a path below the plugin's folder (`./…`).
        allowed_args: the options that pass, exactly; one that ends with `=` takes any value behind it.
        sandbox_path: the directory it runs in and whose files it may be given; relative to the session's.
    """

    name: ToolName
    command: _Word
    description: _Text | None = None
    allowed_args: _Words = ()
    sandbox_path: _Word = "."
    timeout: _Seconds = 120.0


class StdioServer(Entry, frozen=True, kw_only=True, tag_field="type", tag="stdio"):
    """An MCP server that is a child process."""

    name: ServerName
    command: _Word
    args: _Words = ()
    env: Annotated[dict[_Variable, _HeaderValue], Meta(max_length=64)] = msgspec.field(default_factory=dict)


class HttpServer(Entry, frozen=True, kw_only=True, tag_field="type", tag="http"):
    """An MCP server at an address, over streamable HTTP."""

    name: ServerName
    url: _Url
    headers: Annotated[dict[_Header, _HeaderValue], Meta(max_length=32)] = msgspec.field(default_factory=dict)


ServerEntry = StdioServer | HttpServer


class AgentEntry(Entry, frozen=True, kw_only=True):
    """An agent: a prompt, or a class.

    Attributes:
        model_override: takes the place of the session's model.
        tools: shell-style patterns of the tools it may use; all if left out.
        mode: narrows the session's.
        class_: `class` in the file; `module` is the same key under another name.
        context: what the class is made with.
        context_lines: path in the context, as `.words` → its line; not in the file.
    """

    name: PluginName
    description: _Text | None = None
    system_prompt: _Long | None = None
    model_override: _Text | None = None
    tools: _Names | None = None
    mode: Mode | None = None
    class_: Annotated[Target | None, Meta()] = msgspec.field(name="class", default=None)
    module: Target | None = None
    context: dict[str, Json] | None = None
    context_lines: dict[str, int] = msgspec.field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        if [self.system_prompt, self.class_, self.module].count(None) != 2:
            raise ValueError("give either `system_prompt` or `class`")
        if self.context is not None and self.target is None:
            raise ValueError("`context` is for a `class`")

    @property
    def target(self) -> str | None:
        """The class, if it is one."""
        return self.class_ or self.module

    @property
    def target_key(self) -> str:
        """The key it stands under."""
        return "class" if self.class_ is not None else "module"


class HookEntry(Entry, frozen=True, kw_only=True):
    """A hook: a Python function, or a program that gets JSON and answers JSON."""

    event: Event
    module: Target | None = None
    command: _Command | None = None
    tools: _Text = "*"
    timeout: _Seconds = 10.0

    def __post_init__(self) -> None:
        if (self.module is None) == (self.command is None):
            raise ValueError("give either `module` or `command`")


class PromptEntry(Entry, frozen=True, kw_only=True):
    """A slash command: a Markdown file below the plugin's folder, `$ARGUMENTS` replaced."""

    name: PluginName
    file: _Word
    description: _Text | None = None


class ReactiveEntry(Entry, frozen=True, kw_only=True):
    """A reactive agent."""

    name: PluginName
    on: Annotated[tuple[_Text, ...], Meta(min_length=1, max_length=64)]
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    affects: _Names = ()
    depends_on: _Names = ()
    class_: Annotated[Target | None, Meta()] = msgspec.field(name="class", default=None)
    agent: _Text | None = None

    def __post_init__(self) -> None:
        if (self.agent is None) == (self.class_ is None):
            raise ValueError("give either `class` or `agent`")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One plugin.yaml."""

    name: PluginName
    version: Annotated[str, Meta(min_length=1, max_length=64)]
    description: _Text | None = None
    models: tuple[ModelEntry, ...] = ()
    skills: tuple[SkillEntry, ...] = ()
    commands: tuple[CommandEntry, ...] = ()
    mcp_servers: tuple[ServerEntry, ...] = ()
    agents: tuple[AgentEntry, ...] = ()
    hooks: tuple[HookEntry, ...] = ()
    prompts: tuple[PromptEntry, ...] = ()
    reactive: tuple[ReactiveEntry, ...] = ()


NOT_IN_THE_FILE: Final = frozenset({"line", "context_lines"})
"""Fields of entries that the reader fills in."""

SECTIONS: Final[dict[str, tuple[type[Entry], ...]]] = {
    "models": (ModelEntry,),
    "skills": (SkillEntry,),
    "commands": (CommandEntry,),
    "mcp_servers": (StdioServer, HttpServer),
    "agents": (AgentEntry,),
    "hooks": (HookEntry,),
    "prompts": (PromptEntry,),
    "reactive": (ReactiveEntry,),
}
"""The lists of a manifest and what their entries may be."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, and where.

    Attributes:
        file: the file, absolute.
        line: from 1; None if it is not about a line.
        field: as `skills[0].module`; empty if it is about the whole.
        message: a sentence without the place.
    """

    file: str
    message: str
    line: int | None = None
    field: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


def _described(*kinds: Any) -> dict[str, str]:
    metas = [get_args(kind)[1] for kind in kinds]
    return {meta.pattern: meta.description for meta in metas}


DESCRIPTIONS: Final = _described(
    PluginName, ToolName, ServerName, Target, _Word, _Url, _Variable, _Header, _HeaderValue
)
"""Pattern → what it means, in words."""
