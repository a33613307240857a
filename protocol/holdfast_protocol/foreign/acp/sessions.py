"""Sessions and prompts: what editors ask for, and what they are answered."""

from typing import Annotated, Any, Literal

import msgspec

from holdfast_protocol.foreign.acp.base import NULLABLE, Foreign, Members
from holdfast_protocol.foreign.acp.content import Block

Directories = Annotated[tuple[str, ...], NULLABLE]

Servers = Annotated[tuple[Members, ...], NULLABLE]
"""MCP servers as they came: only some have a tag; `mcp_server` reads them."""


class _Named(Foreign, frozen=True, kw_only=True):
    name: str
    value: str


class EnvVariable(_Named, frozen=True, kw_only=True):
    """A variable of a process's environment."""


class HttpHeader(_Named, frozen=True, kw_only=True):
    """A header to send."""


class StdioServer(Foreign, frozen=True, kw_only=True):
    """An MCP server that is a program."""

    name: str
    command: str
    args: Annotated[tuple[str, ...], NULLABLE] = ()
    env: Annotated[tuple[EnvVariable, ...], NULLABLE] = ()


class HttpServer(Foreign, frozen=True, kw_only=True):
    """An MCP server at an address; `type` is `http` or `sse`."""

    type: Literal["http", "sse"]
    name: str
    url: str
    headers: Annotated[tuple[HttpHeader, ...], NULLABLE] = ()


class NewSession(Foreign, frozen=True, kw_only=True):
    """`session/new`. Released editors leave `mcpServers` out, which the schema does not allow."""

    cwd: str
    additional_directories: Directories = ()
    mcp_servers: Servers = ()
    meta: Any = msgspec.field(default=None, name="_meta")


class OldSession(Foreign, frozen=True, kw_only=True):
    """`session/load`, `session/resume` and `session/fork`."""

    session_id: str
    cwd: str
    additional_directories: Directories = ()
    mcp_servers: Servers = ()
    meta: Any = msgspec.field(default=None, name="_meta")


class OfSession(Foreign, frozen=True, kw_only=True):
    """`session/close`, `session/delete`, `session/cancel` and others that name a session and no more."""

    session_id: str


class ListSessions(Foreign, frozen=True, kw_only=True):
    """`session/list`."""

    cwd: str | None = None
    cursor: str | None = None
    archived: str | None = None


class SetMode(Foreign, frozen=True, kw_only=True):
    """`session/set_mode`."""

    session_id: str
    mode_id: str


class SetConfigOption(Foreign, frozen=True, kw_only=True):
    """`session/set_config_option`."""

    session_id: str
    config_id: str
    value: str | bool
    type: str | None = None


class SetTitle(Foreign, frozen=True, kw_only=True):
    """`session/set_title`."""

    session_id: str
    title: str


class Prompt(Foreign, frozen=True, kw_only=True):
    """`session/prompt`, and `_session/steering`."""

    session_id: str
    prompt: tuple[Block, ...]
    meta: Any = msgspec.field(default=None, name="_meta")


class CancelRequest(Foreign, frozen=True, kw_only=True):
    """`$/cancel_request`."""

    request_id: str | int | None


class Mode(Foreign, frozen=True, kw_only=True):
    """A mode to choose."""

    id: str
    name: str
    description: str | None = None


class ModeState(Foreign, frozen=True, kw_only=True):
    """The modes there are, and which holds."""

    current_mode_id: str
    available_modes: tuple[Mode, ...] = msgspec.field()


class Choice(Foreign, frozen=True, kw_only=True):
    """A value of an option."""

    value: str
    name: str
    description: str | None = None


class Choices(Foreign, frozen=True, kw_only=True):
    """A group of values."""

    group: str
    name: str
    options: tuple[Choice, ...] = msgspec.field()


class SelectOption(Foreign, frozen=True, kw_only=True, tag_field="type", tag="select"):
    """A setting that takes one of some values, in groups or not."""

    id: str
    name: str
    current_value: str
    options: tuple[Choice, ...] | tuple[Any, ...] = msgspec.field()
    description: str | None = None
    category: str | None = None


class SessionOpened(Foreign, frozen=True, kw_only=True):
    """The answer to load, resume, new and fork; the latter two have an id."""

    session_id: str | None = None
    modes: ModeState | None = None
    config_options: tuple[SelectOption, ...] | None = None
    meta: Any = msgspec.field(default=None, name="_meta")


class SessionRow(Foreign, frozen=True, kw_only=True):
    """A session of the list; `updated_at` is ISO 8601."""

    session_id: str
    cwd: str
    additional_directories: tuple[str, ...] = ()
    title: str | None = None
    updated_at: str | None = None


class SessionList(Foreign, frozen=True, kw_only=True):
    """A page of the list."""

    sessions: tuple[SessionRow, ...] = msgspec.field()
    next_cursor: str | None = None


class ConfigOptionsSet(Foreign, frozen=True, kw_only=True):
    """All options as they now are."""

    config_options: tuple[SelectOption, ...] = msgspec.field()


StopReason = Literal["end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled"]


class TurnUsage(Foreign, frozen=True, kw_only=True):
    """Tokens of one turn."""

    total_tokens: int
    input_tokens: int
    output_tokens: int
    thought_tokens: int | None = None
    cached_read_tokens: int | None = None
    cached_write_tokens: int | None = None


class PromptEnded(Foreign, frozen=True, kw_only=True):
    """The answer to a prompt, when its run has ended. `usage` is not in the stable schema."""

    stop_reason: StopReason
    usage: TurnUsage | None = None
