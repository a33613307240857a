"""Changes of a session's settings, as events. Pure."""

from msgspec import UNSET

from holdfast_protocol import events
from holdfast_protocol.errors import Conflict
from holdfast_protocol.methods.session import SessionUpdateParams
from holdfast_protocol.view import View

_NAMES = ("title", "archived", "agent", "thinking", "mode", "unattended", "budget", "meta")


def settings_events(view: View, params: SessionUpdateParams, by: str) -> tuple[events.Event, ...]:
    """Give the events of a change; none if nothing changes.

    Raises:
        Conflict: `expect` is not the head any more.
    """
    if params.expect is not None and params.expect != view.head:
        raise Conflict(
            f"The head is {view.head}, not {params.expect}.",
            resource="session",
            id=params.session_id,
            head=view.head,
        )
    assert view.settings is not None
    changes = {
        name: value
        for name in _NAMES
        if (value := getattr(params, name)) is not UNSET and value != getattr(view.settings, name)
    }
    found: list[events.Event] = []
    if changes:
        found.append(events.SessionUpdated(by=by, **changes))
    if params.model is not UNSET and params.model != view.settings.model:
        found.append(events.ModelSwitched(model=params.model, previous=view.settings.model, by=by))
    return tuple(found)
