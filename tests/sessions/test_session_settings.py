"""Changes of settings as events."""

from typing import Any

import msgspec
import pytest

from holdfast_daemon.sessions.settings import settings_events
from holdfast_protocol import events
from holdfast_protocol.errors import Conflict
from holdfast_protocol.events import SandboxInfo
from holdfast_protocol.methods.session import SessionUpdateParams
from holdfast_protocol.view import View

STARTED = events.SessionStarted(
    seq=1, cwd="/", agent="chat", model="first", sandbox=SandboxInfo(kind="none"), title="old"
)


def changes(**changed: Any) -> tuple[events.Event, ...]:
    view = View()
    view.apply(STARTED)
    return settings_events(view, SessionUpdateParams(session_id="s", **changed), "client")


def test_nothing_asked_is_nothing_done() -> None:
    assert changes() == ()


def test_what_is_so_already_is_no_event() -> None:
    assert changes(title="old", archived=False, agent="chat", model="first", thinking="off", meta=None) == ()


def test_what_changes_is_one_event_by_its_author() -> None:
    assert changes(title="new", archived=True, thinking="high", model="first") == (
        events.SessionUpdated(by="client", title="new", archived=True, thinking="high"),
    )


def test_a_change_of_model_is_an_event_of_its_own() -> None:
    assert changes(model="second", title="new") == (
        events.SessionUpdated(by="client", title="new"),
        events.ModelSwitched(model="second", previous="first", by="client"),
    )


def test_an_empty_title_is_a_title() -> None:
    assert changes(title="") == (events.SessionUpdated(by="client", title=""),)


def test_an_expected_head_that_has_moved_is_a_conflict_even_if_nothing_changes() -> None:
    assert changes(expect=1, title="new") != ()
    for expect in (0, 2):
        with pytest.raises(Conflict) as caught:
            changes(expect=expect)
        assert caught.value.data.head == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"title": "t"},
        {"archived": True},
        {"agent": "a"},
        {"thinking": "low"},
        {"meta": {"a": 1}},
        {"model": "m"},
    ],
)
def test_folding_the_events_gives_what_was_asked(changed: dict[str, Any]) -> None:
    view = View()
    view.apply(STARTED)
    for event in changes(**changed):
        view.apply(msgspec.structs.replace(event, seq=2))
    assert {name: getattr(view.settings, name) for name in changed} == changed
