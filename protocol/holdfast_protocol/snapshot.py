"""The wire form of a session's view: what a screen needs to join in (PROTOCOL.md, "Snapshots").

Types alone: `view` folds events into them, `shrink` keeps them small.
"""

from typing import Final, Literal

from holdfast_protocol.content import ContentBlock
from holdfast_protocol.events.base import (
    BlockKind,
    Budget,
    Cost,
    Json,
    Mode,
    Thinking,
    ToolKind,
    Unattended,
    Usage,
    WireStruct,
)
from holdfast_protocol.events.output import PlanEntry
from holdfast_protocol.events.people import RequestOpened
from holdfast_protocol.events.prompt import Delivery
from holdfast_protocol.events.session import Origin, SandboxInfo

SNAPSHOT_BYTES_MAX: Final = 256 * 1024
"""Encoded size of a snapshot; its longest parts are shortened until it fits, and say so (`shrink`)."""

SessionStatus = Literal["idle", "running", "paused", "ended"]

RunStatus = Literal["running", "paused", "completed", "failed", "cancelled", "interrupted"]

SnapshotPart = Literal["settings", "run", "queue", "requests", "plan", "children"]
"""Members of a snapshot that can be long."""


class Settings(WireStruct, frozen=True, kw_only=True):
    """A session's settings. Paths are absolute."""

    cwd: str
    agent: str
    model: str
    sandbox: SandboxInfo
    thinking: Thinking = "off"
    mode: Mode = "ask"
    unattended: Unattended = "wait"
    budget: Budget | None = None
    roots: tuple[str, ...] = ()
    title: str | None = None
    archived: bool = False
    instructions: tuple[str, ...] = ()
    meta: Json = None
    forked_from: Origin | None = None


class OpenBlock(WireStruct, frozen=True, kw_only=True):
    """A block that streams. `text` is its end so far; `length` counts all its code points.

    If `text` is shorter than `length`, its beginning was cut to keep the snapshot small: read the log.
    """

    block_id: str
    message_id: str
    step: int
    kind: BlockKind
    text: str
    length: int
    tool_call_id: str | None = None
    tool: str | None = None


class OpenToolCall(WireStruct, frozen=True, kw_only=True):
    """A tool call without an outcome. `text` is its output so far, `length` as in `OpenBlock`.

    Attributes:
        truncated: `input` was left out, or `title` cut, to keep the snapshot small.
    """

    tool_call_id: str
    step: int
    tool: str
    kind: ToolKind
    title: str
    input: Json
    text: str
    length: int
    truncated: bool = False


class CurrentRun(WireStruct, frozen=True, kw_only=True):
    """The run in progress."""

    run_id: str
    prompt_id: str
    seq: int
    started_at: int
    status: Literal["running", "paused"]
    agent: str
    model: str
    mode: Mode | None = None
    budget: Budget | None = None
    step: int = 0
    continues: str | None = None
    blocks: tuple[OpenBlock, ...] = ()
    tool_calls: tuple[OpenToolCall, ...] = ()
    usage: Usage = Usage()
    cost: Cost | None = None


class EndedRun(WireStruct, frozen=True, kw_only=True):
    """The last run that ended; `seq` is its terminal event's."""

    run_id: str
    prompt_id: str
    status: RunStatus
    seq: int


class QueuedPrompt(WireStruct, frozen=True, kw_only=True):
    """A prompt that waits: interrupting ones first, then steering ones, then the rest in log order.

    `truncated` says that `content` was cut to keep the snapshot small.
    """

    prompt_id: str
    content: tuple[ContentBlock, ...]
    by: str
    seq: int
    delivery: Delivery = "queue"
    model: str | None = None
    mode: Mode | None = None
    budget: Budget | None = None
    truncated: bool = False


class Child(WireStruct, frozen=True, kw_only=True):
    """A sub-agent's session that has not ended."""

    agent: str
    session_id: str
    epoch: str


class Snapshot(WireStruct, frozen=True, kw_only=True):
    """A session at `head`.

    Attributes:
        held: the queue waits for `session/continue`, because the last run failed or was interrupted.
        runs: how many runs were started.
        older: page back from here with `session/read {before}`; None in an empty log.
        truncated: the parts that are not whole here, to keep the snapshot small: texts were cut, items cut
            or left out. The log has all of it.
    """

    head: int
    status: SessionStatus
    settings: Settings | None = None
    run: CurrentRun | None = None
    last_run: EndedRun | None = None
    queue: tuple[QueuedPrompt, ...] = ()
    held: bool = False
    requests: tuple[RequestOpened, ...] = ()
    usage: Usage = Usage()
    plan: tuple[PlanEntry, ...] = ()
    children: tuple[Child, ...] = ()
    runs: int = 0
    older: int | None = None
    truncated: tuple[SnapshotPart, ...] = ()
