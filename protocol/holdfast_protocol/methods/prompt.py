"""Prompts and runs: admit, cancel, wait, continue."""

from typing import Annotated, Literal

from msgspec import Meta

from holdfast_protocol.content import ContentBlock
from holdfast_protocol.events.base import Budget, Identifier, Mode, WireStruct
from holdfast_protocol.events.prompt import Delivery, PromptStatus
from holdfast_protocol.methods.session import Key, MutationResult, Name
from holdfast_protocol.methods.table import Method
from holdfast_protocol.snapshot import QueuedPrompt

WAIT_MS_MAX = 3_600_000

WaitStatus = Literal[
    "queued", "removed", "running", "paused", "completed", "failed", "cancelled", "interrupted"
]
"""How a run stands, or its prompt if it has none yet, or will have none."""


class SessionPromptParams(WireStruct, frozen=True, kw_only=True):
    """A prompt. A `prompt_id` chosen by the client makes it idempotent, over connections and restarts."""

    session_id: Identifier
    content: Annotated[tuple[ContentBlock, ...], Meta(min_length=1, max_length=256)]
    prompt_id: Identifier | None = None
    delivery: Delivery = "queue"
    model: Name | None = None
    mode: Mode | None = None
    budget: Budget | None = None
    key: Key | None = None


class SessionPromptResult(WireStruct, frozen=True, kw_only=True):
    """The prompt is durable. `run_id` if it started a run, `position` (from 1) if it waits."""

    prompt_id: str
    status: PromptStatus
    seq: int
    run_id: str | None = None
    position: int | None = None
    replayed: bool = False


class SessionCancelParams(WireStruct, frozen=True, kw_only=True):
    """Cancel the current run, or a named run, or one tool call of it."""

    session_id: Identifier
    run_id: Identifier | None = None
    tool_call_id: Identifier | None = None
    clear_queue: bool = False


class SessionCancelResult(WireStruct, frozen=True, kw_only=True):
    """Whether there was something to cancel. Its terminal event follows in the log."""

    cancelled: bool
    run_id: str | None = None


class SessionWaitParams(WireStruct, frozen=True, kw_only=True):
    """Wait for a run's terminal event; give `run_id` or `prompt_id`."""

    session_id: Identifier
    run_id: Identifier | None = None
    prompt_id: Identifier | None = None
    timeout_ms: Annotated[int, Meta(ge=0, le=WAIT_MS_MAX)] = WAIT_MS_MAX


class SessionWaitResult(WireStruct, frozen=True, kw_only=True):
    """How the run stands. `done` is false if the time ran out; then `status` is the present one.

    Attributes:
        seq: the terminal event's, if done.
    """

    done: bool
    status: WaitStatus
    run_id: str | None = None
    seq: int | None = None


class SessionContinueParams(WireStruct, frozen=True, kw_only=True):
    """Take up the last run, which failed or was interrupted, in a new run."""

    session_id: Identifier
    key: Key | None = None


class SessionContinueResult(WireStruct, frozen=True, kw_only=True):
    """The new run."""

    run_id: str
    seq: int
    replayed: bool = False


class QueueListParams(WireStruct, frozen=True, kw_only=True):
    """Whose queue."""

    session_id: Identifier


class QueueListResult(WireStruct, frozen=True, kw_only=True):
    """The waiting prompts, the next to run first. `held`: they wait for `session/continue`."""

    prompts: tuple[QueuedPrompt, ...]
    held: bool
    head: int


class QueueUpdateParams(WireStruct, frozen=True, kw_only=True):
    """New content for a waiting prompt, or another place (from 1) for it, or both."""

    session_id: Identifier
    prompt_id: Identifier
    content: Annotated[tuple[ContentBlock, ...], Meta(min_length=1, max_length=256)] | None = None
    position: Annotated[int, Meta(ge=1, le=256)] | None = None
    key: Key | None = None


class QueueRemoveParams(WireStruct, frozen=True, kw_only=True):
    """A waiting prompt that is not to run; without `prompt_id`, all of them."""

    session_id: Identifier
    prompt_id: Identifier | None = None
    key: Key | None = None


METHODS: tuple[Method, ...] = (
    Method(
        name="session/prompt",
        direction="call",
        params=SessionPromptParams,
        result=SessionPromptResult,
        errors=(
            "not_found",
            "busy",
            "idempotency_conflict",
            "too_large",
            "draining",
            "storage_unavailable",
        ),
        summary="Admit a prompt; answered when it is durable.",
    ),
    Method(
        name="session/cancel",
        direction="call",
        params=SessionCancelParams,
        result=SessionCancelResult,
        errors=("not_found",),
        summary="Cancel a run or a tool call; acts on being read, before any queue.",
    ),
    Method(
        name="session/wait",
        direction="call",
        params=SessionWaitParams,
        result=SessionWaitResult,
        errors=("not_found", "storage_unavailable"),
        role="observer",
        summary="Wait until a run has ended.",
    ),
    Method(
        name="session/continue",
        direction="call",
        params=SessionContinueParams,
        result=SessionContinueResult,
        errors=("not_found", "busy", "conflict", "idempotency_conflict", "draining", "storage_unavailable"),
        summary="Take up a failed or interrupted run, and let the queue go on.",
    ),
    Method(
        name="queue/list",
        direction="call",
        params=QueueListParams,
        result=QueueListResult,
        errors=("not_found", "storage_unavailable"),
        role="observer",
        summary="List the waiting prompts.",
    ),
    Method(
        name="queue/update",
        direction="call",
        params=QueueUpdateParams,
        result=MutationResult,
        errors=("not_found", "idempotency_conflict", "storage_unavailable"),
        summary="Change a waiting prompt, or move it.",
    ),
    Method(
        name="queue/remove",
        direction="call",
        params=QueueRemoveParams,
        result=MutationResult,
        errors=("not_found", "idempotency_conflict", "storage_unavailable"),
        summary="Remove a waiting prompt, or all.",
    ),
)
