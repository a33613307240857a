"""What to do about a run that waits for people where there are none. Pure: requests in, a sentence out."""

from collections.abc import Mapping
from typing import Any, cast

Request = Mapping[str, Any]


def needs_answer(session_id: str, waits_for: Mapping[str, Request]) -> str:
    """Say how to answer, and which flag would have answered."""
    titles = "; ".join(request["title"] for request in waits_for.values())
    commands = "; ".join(f"holdfast approve {session_id}/{request_id}" for request_id in waits_for)
    modes = [mode for request in waits_for.values() if (mode := _mode_that_allows(request)) is not None]
    if len(modes) < len(waits_for):
        return f"needs an answer: {titles}. Answer with: {commands}, or deny"
    wide = "auto" if "auto" in modes else modes[0]
    return f"needs an answer: {titles}. Answer with: {commands}, or deny; --mode {wide} would have allowed it"


def _mode_that_allows(request: Request) -> str | None:
    """Give the least mode in which this would not have been asked; None if it is asked in every mode."""
    if request["kind"] != "permission":
        return None
    detail: Any = request["detail"]
    if not isinstance(detail, dict) or "tool" not in detail:
        return None  # Whether a project is trusted is asked in every mode.
    if all(option["kind"] != "allow_always" for option in request["options"]):
        return None  # Nothing confines it, so that it is asked in every mode.
    return "accept_edits" if cast("dict[str, Any]", detail).get("kind") == "edit" else "auto"


def at_limit(session_id: str, waits_for: Mapping[str, Request], reason: str | None) -> str:
    """Say which limit it is, and how to go on.

    Args:
        session_id: the run's session.
        waits_for: the questions about limits, if it asks any.
        reason: why it is paused, if it asks none.
    """
    titles = "; ".join(request["title"] for request in waits_for.values()) or f"{reason}."
    return f"paused: {titles} Go on: holdfast approve {session_id}; end it: holdfast deny {session_id}"


def taken_up(session_id: str, why: str) -> str:
    """Say how the last run is taken up again, and the queue with it."""
    return f"{why}. Go on: holdfast send {session_id} --continue"
