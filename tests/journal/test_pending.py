"""What waits becomes rows: merged, numbered, encoded, within limits. Pure."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_world import delta, notice, notice_of, output, pairs

from holdfast_daemon.journal.pending import DELTAS, Group, PendingEvents, Taken, is_over
from holdfast_daemon.journal.store import InsertKey
from holdfast_protocol import events

MERGED_MAX = 16 * 1024
ANY = 2**31


def pending(*items: Group | events.Event) -> PendingEvents:
    """Let groups wait, and events as if each had been emitted by itself."""
    waiting = PendingEvents()
    for item in items:
        if isinstance(item, DELTAS):
            waiting.add_delta(item)
        else:
            waiting.add(item if isinstance(item, Group) else Group((item,)))
    return waiting


def take(
    waiting: PendingEvents,
    head: int = 0,
    *,
    events_max: int = ANY,
    bytes_max: int = ANY,
    merged_bytes_max: int = MERGED_MAX,
) -> Taken:
    return waiting.take(
        7, head, 1234, events_max=events_max, bytes_max=bytes_max, merged_bytes_max=merged_bytes_max
    )


def bodies(taken: Taken) -> list[dict[str, object]]:
    return [msgspec.json.decode(row.body) for row in taken.committed.rows]


def texts(taken: Taken) -> list[str]:
    return [getattr(event, "text", None) or getattr(event, "message", "") for event in taken.committed.events]


def test_an_event_gets_its_place_in_front_of_its_own_bytes() -> None:
    taken = take(pending(notice("hi")), head=41)
    (item,) = pairs(taken.committed)
    assert item.row.body == b'{"seq":42,"at":1234,"type":"notice","kind":"test","message":"hi"}'
    assert (item.event.seq, item.event.at) == (42, 1234)
    assert (item.row.seq, item.row.type, item.row.run, item.row.at) == (42, "notice", None, 1234)
    assert events.decode(item.row.body) == item.event


def test_consecutive_deltas_of_one_block_become_one_event() -> None:
    taken = take(pending(delta("Hel"), delta("lo", offset=3), delta(" you", offset=5)))
    assert texts(taken) == ["Hello you"]
    assert taken.committed.events[0] == msgspec.structs.replace(delta("Hello you"), seq=1, at=1234)
    assert taken.merged == 2


@pytest.mark.parametrize(
    "following",
    [
        delta("two", block="b2", offset=3),
        output("two", offset=3),
        notice("two"),
    ],
)
def test_what_is_not_of_the_same_block_is_not_joined(following: events.Event) -> None:
    taken = take(pending(delta("one"), following, delta("three", offset=3)))
    assert texts(taken) == ["one", "two", "three"]
    assert taken.merged == 0


def test_output_of_one_call_is_joined() -> None:
    taken = take(pending(output("a"), output("b", offset=1), output("c", call="t2")))
    assert texts(taken) == ["ab", "c"]


def test_deltas_are_joined_up_to_the_limit_and_no_further() -> None:
    half = "x" * (MERGED_MAX // 2)
    at_limit = take(pending(delta(half), delta(half, offset=len(half))))
    assert [len(text) for text in texts(at_limit)] == [MERGED_MAX]
    past = take(pending(delta(half), delta(half + "y", offset=len(half))))
    assert [len(text) for text in texts(past)] == [len(half), len(half) + 1]


def test_the_limit_counts_bytes_not_characters() -> None:
    half = "é" * (MERGED_MAX // 4)
    at_limit = take(pending(delta(half), delta(half, offset=len(half))))
    assert [len(text.encode()) for text in texts(at_limit)] == [MERGED_MAX]
    past = take(pending(delta(half), delta(half + "é", offset=len(half))))
    assert len(texts(past)) == 2


def test_a_delta_over_the_limit_stays_as_it_is() -> None:
    long = "x" * (MERGED_MAX + 1)
    assert texts(take(pending(delta(long), delta("y", offset=len(long))))) == [long, "y"]


def test_a_delta_somebody_waits_for_is_not_joined() -> None:
    waiting = pending(delta("a"), Group((delta("b", offset=1),), awaited=True), delta("c", offset=2))
    assert texts(take(waiting)) == ["a", "b", "c"]


def test_a_group_is_taken_whole_or_left() -> None:
    group = Group((notice("b"), notice("c"), notice("d")))
    waiting = pending(notice("a"), group, notice("e"))
    assert texts(take(waiting, events_max=3)) == ["a"]
    assert texts(take(waiting, head=1, events_max=3)) == ["b", "c", "d"]
    assert texts(take(waiting, head=4)) == ["e"]


@pytest.mark.parametrize(("room", "expected"), [(2, ["0", "1"]), (3, ["0", "1", "2"])])
def test_events_are_taken_up_to_the_limit(room: int, expected: list[str]) -> None:
    waiting = pending(*(notice(str(number)) for number in range(5)))
    assert texts(take(waiting, events_max=room)) == expected


def test_bytes_are_taken_up_to_the_limit() -> None:
    groups = [Group((notice_of(100),)) for _ in range(3)]
    exact = groups[0].bytes + groups[1].bytes
    assert len(take(pending(*groups), bytes_max=exact).committed.rows) == 2
    assert len(take(pending(*groups), bytes_max=exact - 1).committed.rows) == 1


def test_one_group_is_taken_whatever_its_size() -> None:
    waiting = pending(notice_of(5000), notice("next"))
    assert len(take(waiting, bytes_max=10, events_max=1).committed.rows) == 1
    assert len(waiting) == 1


def test_a_group_learns_the_place_of_its_last_event() -> None:
    first, second = Group((notice("a"), notice("b"))), Group((delta("z", offset=2),), awaited=True)
    taken = take(pending(first, delta("x"), delta("y", offset=1), second), head=10)
    assert taken.groups == [(first, 12), (second, 14)]


def test_a_group_without_events_has_the_place_before_it() -> None:
    seen: list[int] = []

    def rows(seq: int) -> list[InsertKey]:
        seen.append(seq)
        return [InsertKey(None, "c", "m", "k", b"", b"", 0)]

    taken = take(pending(notice("a"), Group((), rows), notice("b")), head=5)
    assert seen == [6]
    assert [type(change) for change in taken.append.changes] == [InsertKey]
    assert [row.seq for row in taken.committed.rows] == [6, 7]


def test_clearing_gives_all_groups_back() -> None:
    groups = [Group((notice(str(number)),)) for number in range(3)]
    waiting = pending(delta("nobody waits for it"), *groups)
    assert waiting.clear() == groups
    assert (len(waiting), waiting.bytes) == (0, 0)


def test_text_that_is_no_unicode_is_refused_where_it_arises() -> None:
    """Not in the pump, where it would be everybody's fault."""
    waiting = PendingEvents()
    with pytest.raises(UnicodeEncodeError):
        waiting.add_delta(delta("\ud800"))
    assert (len(waiting), waiting.bytes) == (0, 0)
    with pytest.raises(UnicodeEncodeError):
        Group((delta("\ud800"),))


@given(pieces=st.deferred(lambda: st.lists(PIECES, max_size=9)))
def test_an_emitted_delta_is_stored_as_one_in_a_group(pieces: list[events.Event]) -> None:
    """The quick way of a delta nobody waits for, and the general one of groups, agree to the byte."""
    quick = take(pending(*pieces), head=41, merged_bytes_max=0)
    general = take(pending(*(Group((event,)) for event in pieces)), head=41)
    assert quick.committed == general.committed
    assert quick.append == general.append


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2000))
def test_whether_a_delta_is_over_the_limit_is_what_its_encoding_says(text: str, limit: int) -> None:
    assert is_over(delta(text), limit) == Group((delta(text),)).has_event_over(limit)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)

PIECES = st.one_of(
    st.builds(delta, TEXT, block=st.sampled_from(["b1", "b2"])),
    st.builds(output, TEXT, call=st.sampled_from(["t1", "t2"])),
    st.builds(notice, TEXT),
)

GROUPS = st.builds(
    lambda members, awaited: Group(tuple(members), awaited=awaited),
    st.lists(PIECES, min_size=1, max_size=3),
    st.booleans(),
)


def stream(event: events.Event) -> str | None:
    return getattr(event, "block_id", None) or getattr(event, "tool_call_id", None)


@given(
    items=st.lists(GROUPS | PIECES, max_size=25),
    limits=st.lists(st.tuples(st.integers(1, 8), st.integers(1, 900), st.integers(1, 12)), min_size=1),
)
def test_whatever_the_limits_the_log_says_what_was_emitted(
    items: list[Group | events.Event], limits: list[tuple[int, int, int]]
) -> None:
    waiting = pending(*items)
    head, log, told = 0, [], []
    turn = 0
    while len(waiting):
        events_max, bytes_max, merged_bytes_max = limits[turn % len(limits)]
        turn += 1
        taken = take(
            waiting, head, events_max=events_max, bytes_max=bytes_max, merged_bytes_max=merged_bytes_max
        )
        rows = taken.committed.rows
        assert rows
        if len(rows) > events_max:
            assert [len(group.members) for group, _ in taken.groups] == [len(rows)]
        for item in pairs(taken.committed):
            head += 1
            assert item.row.seq == head
            assert events.decode(item.row.body) == item.event
        assert taken.committed.bytes == sum(len(row.body) for row in rows)
        log += taken.committed.events
        told += [group for group, _ in taken.groups]
    assert [group for group in told if group in items] == [item for item in items if isinstance(item, Group)]
    assert waiting.bytes == 0
    assert_same_story(
        [event for item in items for event in (item.members if isinstance(item, Group) else (item,))], log
    )


def assert_same_story(emitted: list[events.Event], log: list[events.Event]) -> None:
    """Assert that the log is the emitted events, some neighbouring deltas of one stream joined."""
    rest = iter(emitted)
    for event in log:
        first = next(rest)
        whole = first
        while isinstance(whole, events.TokenDelta | events.ToolOutput) and len(whole.text) < len(event.text):
            following = next(rest)
            assert (type(following), stream(following)) == (type(first), stream(first))
            whole = msgspec.structs.replace(whole, text=whole.text + following.text)
        assert msgspec.structs.replace(event, seq=0, at=0) == whole
    assert list(rest) == []
