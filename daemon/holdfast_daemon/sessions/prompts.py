"""Admission of prompts: what a prompt becomes, given how the session stands. Pure."""

from typing import Final

import msgspec

from holdfast_daemon.sessions.commands import Prompt
from holdfast_protocol import events
from holdfast_protocol.content import ContentBlock
from holdfast_protocol.errors import Busy, Conflict, InvalidParams, Overloaded, TooLarge
from holdfast_protocol.snapshot import QueuedPrompt
from holdfast_protocol.view import View


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What a prompt becomes.

    Attributes:
        group: to be committed together.
        prompt_id: the prompt's.
        started: the start of a run among them, if there is one.
        position: its place in the queue, from 1, if it waits.
    """

    group: tuple[events.Event, ...]
    prompt_id: str
    started: events.RunStarted | None = None
    position: int | None = None


OWN_PREFIX: Final = "auto-"
"""Prompt ids the daemon chooses begin so; clients may not choose such ones."""


def check_prompt_id(prompt_id: str | None) -> None:
    """Refuse an id that could be one of the daemon's own.

    Raises:
        InvalidParams: it begins with `auto-`.
    """
    if prompt_id is not None and prompt_id.startswith(OWN_PREFIX):
        raise InvalidParams(f"Prompt ids that begin with {OWN_PREFIX} are the daemon's.", path="$.promptId")


def check_size(content: tuple[ContentBlock, ...], bytes_max: int) -> None:
    """Refuse a prompt that is over `bytes_max` of JSON.

    Raises:
        TooLarge: naming the limit.
    """
    if len(msgspec.json.encode(content)) > bytes_max:
        raise TooLarge(
            f"A prompt's content is at most {bytes_max} bytes of JSON.",
            path="$.content",
            limit="prompt_bytes_max",
            limit_value=bytes_max,
        )


def admit(view: View, prompt: Prompt, *, running: bool, queued_max: int) -> Admission:
    """Decide about a prompt.

    It starts a run if the session is idle and nobody waits; else it waits (before the others if it steers
    or interrupts), or is refused if that was asked.

    Args:
        view: the session's; up to date, nothing else is being admitted.
        prompt: what was asked.
        running: whether a run is active or being started.
        queued_max: how many may wait.

    Raises:
        Busy: `reject`, and a run is active or prompts wait.
        Overloaded: too many wait.
    """
    # The head has moved since the last admission, so the name is new.
    prompt_id = prompt.prompt_id or f"{OWN_PREFIX}{view.head + 1}"
    # One that interrupts does not wait behind a queue that is held: nothing runs that it could wait for.
    others = any(waiting.delivery == "interrupt" for waiting in view.queue.values())
    goes_before = prompt.delivery == "interrupt" and (view.held or not others)
    waits = running or (bool(view.queue) and not goes_before)
    steers = running and prompt.delivery == "steer"
    if waits and prompt.delivery == "reject":
        raise Busy("The session has a run or waiting prompts.", resource="session")
    if waits and len(view.queue) >= queued_max:
        raise Overloaded("Too many prompts wait.", limit="queued_prompts_max", limit_value=queued_max)
    received = events.PromptReceived(
        prompt_id=prompt_id,
        content=prompt.content,
        delivery=prompt.delivery,
        status="started" if not waits else "steered" if steers else "queued",
        by=prompt.by,
        command=prompt.command,
        model=prompt.model,
        mode=prompt.mode,
        budget=prompt.budget,
    )
    if waits:
        return Admission(group=(received,), prompt_id=prompt_id, position=_position(view, prompt))
    started = start(view, prompt_id, prompt)
    return Admission(group=(received, started), prompt_id=prompt_id, started=started)


def _position(view: View, prompt: Prompt) -> int | None:
    """Give the place in the queue, from 1; None for one that steers: it waits for the next step."""
    before = {"interrupt": ("interrupt",), "steer": ("interrupt", "steer")}.get(prompt.delivery)
    if before is None:
        return len(view.queue) + 1
    return 1 + sum(1 for item in view.queue.values() if item.delivery in before)


def start(
    view: View, prompt_id: str, prompt: Prompt | QueuedPrompt | None, *, continues: str | None = None
) -> events.RunStarted:
    """Give the start of the session's next run; what its prompt does not say the session does."""
    assert view.settings is not None
    return events.RunStarted(
        run_id=f"r{view.runs + 1}",
        prompt_id=prompt_id,
        agent=view.settings.agent,
        model=(prompt and prompt.model) or view.settings.model,
        mode=prompt and prompt.mode,
        budget=(prompt and prompt.budget) or view.settings.budget,
        continues=continues,
    )


def dequeue(view: View) -> Admission | None:
    """Give what starts the first waiting prompt; None if there is none or the queue is held."""
    if view.held or not view.queue:
        return None
    prompt = next(iter(view.queue.values()))
    started = start(view, prompt.prompt_id, prompt)
    updated = events.PromptUpdated(prompt_id=prompt.prompt_id, status="started")
    return Admission(group=(updated, started), prompt_id=prompt.prompt_id, started=started)


def take_up(view: View) -> Admission:
    """Give what continues the last run, or, if there is none to continue, lets the queue go on.

    Raises:
        Conflict: the last run did not fail and was not interrupted.
    """
    last = view.last_run
    if last is None or last.status not in ("failed", "interrupted"):
        raise Conflict("There is no failed or interrupted run to continue.", resource="run")
    started = start(view, last.prompt_id, None, continues=last.run_id)
    return Admission(group=(started,), prompt_id=last.prompt_id, started=started)
