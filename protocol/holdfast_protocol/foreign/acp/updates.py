"""What an editor is told of a session: the fourteen kinds of `session/update`."""

from typing import Literal

import msgspec

from holdfast_protocol.foreign.acp.base import Foreign
from holdfast_protocol.foreign.acp.content import Block, Kind, Place, Raw, Status, ToolContent
from holdfast_protocol.foreign.acp.sessions import SelectOption


class _Update(Foreign, frozen=True, kw_only=True, tag_field="sessionUpdate"):
    pass


class _Chunk(_Update, frozen=True, kw_only=True):
    content: Block
    message_id: str | None = None


class UserMessageChunk(_Chunk, frozen=True, kw_only=True, tag="user_message_chunk"):
    """A part of what a person said."""


class AgentMessageChunk(_Chunk, frozen=True, kw_only=True, tag="agent_message_chunk"):
    """A part of what the agent says."""


class AgentThoughtChunk(_Chunk, frozen=True, kw_only=True, tag="agent_thought_chunk"):
    """A part of what the agent thinks."""


class ToolCall(_Update, frozen=True, kw_only=True, tag="tool_call"):
    """A tool call that was not told of before."""

    tool_call_id: str
    title: str
    name: str | None = None
    kind: Kind = "other"
    status: Status = "pending"
    content: tuple[ToolContent, ...] = ()
    locations: tuple[Place, ...] = ()
    raw_input: Raw = None
    raw_output: Raw = None


class ToolCallChanged(Foreign, frozen=True, kw_only=True):
    """What is new about a tool call; lists replace those before. Also the subject of a permission request."""

    tool_call_id: str
    title: str | None = None
    name: str | None = None
    kind: Kind | None = None
    status: Status | None = None
    content: tuple[ToolContent, ...] | None = None
    locations: tuple[Place, ...] | None = None
    raw_input: Raw = None
    raw_output: Raw = None


class ToolCallUpdate(
    ToolCallChanged, frozen=True, kw_only=True, tag_field="sessionUpdate", tag="tool_call_update"
):
    """The same as an update."""


class PlanEntry(Foreign, frozen=True, kw_only=True):
    """One entry of a plan."""

    content: str
    priority: Literal["high", "medium", "low"]
    status: Literal["pending", "in_progress", "completed"]


class Plan(_Update, frozen=True, kw_only=True, tag="plan"):
    """The whole plan."""

    entries: tuple[PlanEntry, ...] = msgspec.field()


class Hint(Foreign, frozen=True, kw_only=True):
    """What may stand behind a command's name."""

    hint: str


class Command(Foreign, frozen=True, kw_only=True):
    """A slash command, its name without the slash."""

    name: str
    description: str
    input: Hint | None = None


class CommandsUpdate(_Update, frozen=True, kw_only=True, tag="available_commands_update"):
    """All commands."""

    available_commands: tuple[Command, ...] = msgspec.field()


class ModeUpdate(_Update, frozen=True, kw_only=True, tag="current_mode_update"):
    """Another mode holds."""

    current_mode_id: str


class ConfigUpdate(_Update, frozen=True, kw_only=True, tag="config_option_update"):
    """All options."""

    config_options: tuple[SelectOption, ...] = msgspec.field()


class InfoUpdate(_Update, frozen=True, kw_only=True, tag="session_info_update"):
    """What the session is called, and when it was last used (ISO 8601)."""

    title: str | None = None
    updated_at: str | None = None


class Cost(Foreign, frozen=True, kw_only=True):
    """Money."""

    amount: float
    currency: str


class UsageUpdate(_Update, frozen=True, kw_only=True, tag="usage_update"):
    """How full the model's context is, in tokens, and what the session has cost."""

    used: int
    size: int
    cost: Cost | None = None


class Notice(_Update, frozen=True, kw_only=True, tag="notice"):
    """Something a person should know. Only for editors with `session.notices`."""

    severity: str
    title: str
    description: str | None = None


class CompactionUpdate(_Update, frozen=True, kw_only=True, tag="compaction_update"):
    """The conversation was summed up. Only for editors with `session.compaction`."""

    compaction_id: str
    status: Literal["in_progress", "completed", "failed", "cancelled"]
    summary: tuple[Block, ...] | None = None


class CompactionChunk(_Update, frozen=True, kw_only=True, tag="compaction_summary_chunk"):
    """A part of a summary. Only for editors with `session.compaction`."""

    compaction_id: str
    content: Block


Update = (
    UserMessageChunk
    | AgentMessageChunk
    | AgentThoughtChunk
    | ToolCall
    | ToolCallUpdate
    | Plan
    | CommandsUpdate
    | ModeUpdate
    | ConfigUpdate
    | InfoUpdate
    | UsageUpdate
    | Notice
    | CompactionUpdate
    | CompactionChunk
)


class SessionUpdate(Foreign, frozen=True, kw_only=True):
    """`session/update`."""

    session_id: str
    update: Update
