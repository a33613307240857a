"""Events about prompts and the queue."""

from typing import Literal

from holdfast_protocol.content import ContentBlock
from holdfast_protocol.events.base import Budget, EventBase, Mode

Delivery = Literal["queue", "steer", "interrupt", "reject"]
"""What to do with a prompt while a run is active: put it behind, show it to the model before its next step,
cancel the run and start with it, or refuse it."""

PromptStatus = Literal["started", "queued", "steered", "delivered", "refused"]


class PromptReceived(EventBase, frozen=True, kw_only=True, tag="prompt_received"):
    """A prompt was admitted, durably.

    `queued` ones wait in log order; a `steered` one waits for the run's next step, before all others; one
    that interrupts waits for the run's end, before all others. Of a slash command, `content` is what it
    stands for and `command` what was typed.
    """

    prompt_id: str
    content: tuple[ContentBlock, ...]
    delivery: Delivery
    status: PromptStatus
    by: str
    command: str | None = None
    model: str | None = None
    mode: Mode | None = None
    budget: Budget | None = None


class PromptUpdated(EventBase, frozen=True, kw_only=True, tag="prompt_updated"):
    """A prompt left the queue for a run, or changed while waiting; an absent member did not change."""

    prompt_id: str
    status: PromptStatus | None = None
    step: int | None = None
    content: tuple[ContentBlock, ...] | None = None
    position: int | None = None
    by: str | None = None


class PromptRemoved(EventBase, frozen=True, kw_only=True, tag="prompt_removed"):
    """A queued prompt will not run."""

    prompt_id: str
    reason: str
    by: str | None = None
