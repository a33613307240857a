"""The ring of a session's last events."""

from hypothesis import given
from hypothesis import strategies as st
from journal_world import notice, place

from holdfast_daemon.hub.ring import Ring
from holdfast_daemon.journal.pending import Committed


def append(ring: Ring, committed: Committed) -> None:
    ring.append(committed.rows, committed.bytes)


def test_an_empty_ring_begins_after_the_head() -> None:
    ring = Ring(7)
    assert (ring.first, ring.bytes, ring.after(7)) == (8, 0, [])


def test_trimming_keeps_the_newest_and_never_more_bytes_than_asked() -> None:
    ring = Ring(0)
    append(ring, place(*(notice(str(number)) for number in range(9))))
    each = ring.bytes // 9
    assert ring.trim(3 * each) == 6 * each
    assert (ring.first, ring.bytes) == (7, 3 * each)
    assert [entry.seq for entry in ring.after(6)] == [7, 8, 9]
    assert ring.trim(3 * each - 1) == each
    assert ring.trim(0) == 2 * each
    assert (ring.first, ring.bytes, ring.after(9)) == (10, 0, [])


@given(
    st.lists(
        st.tuples(st.just("append"), st.integers(1, 5)) | st.tuples(st.just("trim"), st.integers(0, 900)),
        max_size=40,
    )
)
def test_it_is_a_dense_run_that_ends_at_the_head(steps: list[tuple[str, int]]) -> None:
    ring, head, bodies = Ring(0), 0, []
    for step, amount in steps:
        if step == "append":
            committed = place(*(notice("x" * number) for number in range(amount)), head=head)
            head += amount
            bodies += [row.body for row in committed.rows]
            append(ring, committed)
        else:
            before = ring.bytes
            assert ring.trim(amount) == before - ring.bytes
            assert ring.bytes <= amount
        assert ring.bytes == sum(len(entry.body) for entry in ring.after(ring.first - 1))
        for cursor in range(ring.first - 1, head + 1):
            entries = ring.after(cursor)
            assert [entry.seq for entry in entries] == list(range(cursor + 1, head + 1))
            assert [entry.body for entry in entries] == bodies[cursor:]
