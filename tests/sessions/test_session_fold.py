"""What is committed together folds as if it had been committed one by one."""

import logging
from typing import Any

import anyio
import pytest
from core_world import core_running
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_world import delta, notice, output, place
from log_builder import block_end, block_start, call_started, received, run_started

from holdfast_daemon.sessions.session import Session
from holdfast_protocol import events

BLOCK = st.sampled_from(["b1", "b2"])
OFFSET = st.integers(0, 6)  # Mostly wrong: a fold drops what it has already.

PIECE = st.one_of(
    st.builds(delta, st.text("ab\u00e9", max_size=3), block=BLOCK, offset=OFFSET),
    st.builds(output, st.text("ab\u00e9", max_size=3), call=st.sampled_from(["t1", "t2"]), offset=OFFSET),
    st.builds(delta, st.just("of no run"), run=st.none()),
    st.builds(block_start, BLOCK),
    st.builds(block_end, BLOCK, st.text("ab", max_size=3)),
    st.builds(notice, st.just("n")),
)


def commit(session: Session, *group: events.Event) -> None:
    """Hand events over as the journal does after the sync."""
    committed = place(*group, head=session.log.head)
    session.log.head += len(group)
    session.committed(committed)


async def state_of(session: Session) -> tuple[Any, ...]:
    history = await session._load_history()  # What a model would be shown.
    return session.snapshot(), session.updated_at, session.log.head, history.position, history.messages()


@settings(max_examples=60)
@given(st.lists(PIECE, max_size=14))
def test_a_batch_folds_as_its_events_one_by_one(pieces: list[events.Event]) -> None:
    async def main() -> None:
        async with core_running() as core:
            client = core.client()
            states: list[Any] = []
            for name in ("together", "alone"):
                await client.create(name)
                session = core.live(name)
                session.updated_at = 0
                await session._load_history()  # Kept up to date from now on.
                commit(session, received(), run_started())
                commit(session, block_start(), call_started("t1"))
                if name == "together" and pieces:
                    commit(session, *pieces)
                elif name == "alone":
                    for piece in pieces:
                        commit(session, piece)
                states.append(await state_of(session))
                commit(session, events.RunInterrupted(run_id="r1", cause="shutdown"))
            assert states[0] == states[1]

    anyio.run(main)


@pytest.mark.parametrize("before", [(), (notice("n"),), (delta("of no run", run=None),)])
async def test_a_delta_of_a_run_that_is_not_there_is_a_bug_that_stops_nobody(
    before: tuple[events.Event, ...], caplog: pytest.LogCaptureFixture
) -> None:
    async with core_running() as core:
        client = core.client()
        await client.create()
        follower = await client.follow(after=core.live("s").log.head)
        with caplog.at_level(logging.ERROR, "holdfast_daemon"):
            commit(core.live("s"), *before, delta("a"))
        assert [record.message for record in caplog.records] == ["session s: cannot fold"]
        assert follower.cursor == core.live("s").log.head
