"""The question a run in plan mode ends with, and what its answers mean. Pure."""

from typing import Final

from holdfast_protocol import events
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Mode

_APPROVED: Final = "The plan is approved. Carry it out."

_TITLE_CHARACTERS: Final = 80

_MODES: Final[dict[str, Mode]] = {"accept_edits": "accept_edits", "ask": "ask"}
"""Answers that leave plan mode, and the mode that holds then."""

KEEP_PLANNING: Final = "keep_planning"

_OPTIONS: Final = (
    events.RequestOption(id="accept_edits", label="Carry it out; edits need no asking", kind="choice"),
    events.RequestOption(id="ask", label="Carry it out; ask before each change", kind="choice"),
    events.RequestOption(id=KEEP_PLANNING, label="Go on planning", kind="choice"),
    events.RequestOption(id="stop", label="Stop here", kind="choice"),
)


def plan_request(run_id: str, request_id: str, plan: str) -> events.RequestOpened:
    """Give the question about a plan."""
    heading = plan.strip().partition("\n")[0][:_TITLE_CHARACTERS]
    return events.RequestOpened(
        run_id=run_id,
        request_id=request_id,
        kind="question",
        title=f"Plan: {heading}" if heading else "The plan is ready.",
        detail={"question": "plan", "plan": plan},
        options=_OPTIONS,
    )


def plan_answer_events(
    run_id: str, step: int, prompt_id: str, answer: events.RequestResolved, *, own_mode: bool
) -> tuple[events.Event, ...]:
    """Give the events of an answer to a plan: what the run is told, and the mode; none to end it.

    The mode changes where plan mode came from: the run's own, or the session's.

    Anything but the known answers ends the run: unknown never approves.
    """
    mode = _MODES.get(answer.outcome)
    if mode is None and answer.outcome != KEEP_PLANNING:
        return ()
    text = answer.message or ("" if mode is None else _APPROVED)
    if mode is not None and answer.message:
        text = f"{_APPROVED} {answer.message}"
    told = (
        events.PromptReceived(
            run_id=run_id,
            prompt_id=prompt_id,
            content=(TextBlock(text=text or "Go on planning."),),
            delivery="steer",
            status="steered",
            by=answer.by,
        ),
        events.PromptUpdated(run_id=run_id, prompt_id=prompt_id, status="delivered", step=step),
    )
    if mode is None:
        return told
    changed = events.SessionUpdated(run_id=run_id if own_mode else None, mode=mode, by=answer.by)
    return (changed, *told)
