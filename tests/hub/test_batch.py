"""Batches: what they hold, what they cover, and that they are the stored bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_world import delta, notice, place

from holdfast_daemon.hub.batch import Batch, batch_of, events_frame, notification
from holdfast_daemon.hub.filter import Filter
from holdfast_daemon.journal.store import EventRow
from holdfast_protocol import events
from holdfast_protocol.framing import FrameReader, Framing
from holdfast_protocol.methods.subscribe import SessionCaughtUpParams

FRAMINGS = pytest.mark.parametrize("framing", list(Framing))

ANY = 2**31


def entries_of(*group: events.Event) -> list[EventRow]:
    return place(*group).rows


def batch(
    entries: list[EventRow], wanted: Filter | None = None, *, cursor: int = 0, bytes_max: int = ANY
) -> Batch:
    return batch_of(entries, wanted or Filter(), Framing.LINES, "s", "e", cursor, bytes_max)


def params_of(frame: bytes, framing: Framing = Framing.LINES) -> dict[str, object]:
    reader = FrameReader(len(frame), framing)
    reader.feed(frame)
    (body,) = reader.frames()
    message = json.loads(body)
    assert set(message) == {"jsonrpc", "method", "params"}
    return message["params"]


@FRAMINGS
def test_a_batch_is_the_stored_bytes_in_an_envelope(framing: Framing) -> None:
    bodies = [entry.body for entry in entries_of(notice("a"), delta("\u00e9\n"))]
    frame = events_frame(framing, 's"1', "e", 1, 2, bodies)
    assert params_of(frame, framing) == {
        "sessionId": 's"1',
        "epoch": "e",
        "from": 1,
        "to": 2,
        "events": [json.loads(body) for body in bodies],
    }
    assert b",".join(bodies) in frame


@FRAMINGS
def test_any_notification_is_framed(framing: Framing) -> None:
    frame = notification(
        framing, "session/caughtUp", SessionCaughtUpParams(session_id="s", epoch="e", head=3)
    )
    assert params_of(frame, framing) == {"sessionId": "s", "epoch": "e", "head": 3}


def test_what_a_filter_leaves_out_is_covered() -> None:
    entries = entries_of(notice("a"), delta("b"), notice("c"), delta("d"))
    found = batch(entries, Filter(deltas=False))
    assert (found.to, found.delivered) == (4, 2)
    assert found.frame is not None
    assert (params_of(found.frame)["from"], params_of(found.frame)["to"]) == (1, 4)


def test_left_out_deltas_alone_are_covered_by_the_next_batch() -> None:
    entries = entries_of(delta("a"), delta("b", offset=1), notice("c"))
    assert batch(entries[:2], Filter(deltas=False)) == Batch(None, 2, 0)
    following = batch(entries[2:], Filter(deltas=False))
    assert following.frame is not None
    assert (params_of(following.frame)["from"], params_of(following.frame)["to"]) == (1, 3)


def test_another_event_that_is_left_out_is_worth_an_empty_batch() -> None:
    """A client waits for the seq of an answer, whatever its filter."""
    found = batch(entries_of(notice("a"), delta("b")), Filter(types=frozenset({"run_started"})))
    assert (found.to, found.delivered) == (2, 0)
    assert found.frame is not None
    assert params_of(found.frame)["events"] == []


def test_a_batch_ends_before_its_limit_but_holds_one_event_at_least() -> None:
    entries = entries_of(*(notice("x" * 100) for _ in range(4)))
    size = len(entries[0].body)
    assert batch(entries, bytes_max=2 * size).to == 2
    assert batch(entries, bytes_max=2 * size - 1).to == 1
    assert batch(entries, bytes_max=1).to == 1


def test_a_left_out_event_takes_no_room() -> None:
    entries = entries_of(delta("x" * 500), notice("a"), delta("y" * 500, offset=500), notice("b"))
    wanted = Filter(deltas=False)
    assert batch(entries, wanted, bytes_max=len(entries[1].body)).to == 3
    assert batch(entries, wanted, bytes_max=len(entries[1].body) + len(entries[3].body)).to == 4


PIECE = st.one_of(
    st.builds(delta, st.sampled_from(["a", "bb"]), block=st.sampled_from(["b1", "b2"])),
    st.builds(notice, st.sampled_from(["", "long text"])),
)

FILTER = st.builds(
    Filter,
    st.none()
    | st.sampled_from([frozenset({"notice"}), frozenset({"token_delta"}), frozenset({"run_started"})]),
    deltas=st.booleans(),
    settled_to=st.integers(0, 12),
    open_streams=st.sampled_from([frozenset(), frozenset({"b1"})]),
)


@given(st.lists(PIECE, min_size=1, max_size=12), FILTER, st.integers(1, 400))
def test_batches_one_after_the_other_cover_all_and_hold_what_is_wanted(
    group: list[events.Event], wanted: Filter, bytes_max: int
) -> None:
    entries = entries_of(*group)
    position = cursor = 0
    seen: list[object] = []
    while position < len(entries):
        found = batch(entries[position:], wanted, cursor=cursor, bytes_max=bytes_max)
        assert position < found.to <= len(entries)
        position = found.to
        if found.frame is not None:
            params = params_of(found.frame)
            assert (params["from"], params["to"]) == (cursor + 1, found.to)
            events_in = params["events"]
            assert isinstance(events_in, list)
            assert len(events_in) == found.delivered
            seen += events_in
            cursor = found.to
    expected = [entry.body for entry in entries if wanted.passes(entry)]
    assert seen == [json.loads(body) for body in expected]
    assert all(entry.type in events.DELTA_TAGS for entry in entries[cursor:])
