"""Events of a session and its agents' sessions (design 4: a client that wants a child subscribes to it)."""

from collections import defaultdict

import anyio
import pytest
from fake_daemon import EPOCH, client_of_fake, fake_daemon
from library_world import WAIT_S

from holdfast_client.aio import TreeEvent
from holdfast_protocol import events
from holdfast_protocol.errors import NotFound
from holdfast_protocol.events import ErrorInfo

pytestmark = pytest.mark.timeout(120)


def notice(message: str = "x") -> events.Notice:
    return events.Notice(kind="test", message=message)


def agent_started(session_id: str, agent: str = "helper") -> events.AgentStarted:
    return events.AgentStarted(agent=agent, session_id=session_id, epoch=EPOCH)


def agent_completed(session_id: str) -> events.AgentCompleted:
    return events.AgentCompleted(agent="helper", result="done", session_id=session_id)


async def take(tree, count: int) -> dict[str, list[int]]:
    """Take events; give the seqs of each session."""
    seqs = defaultdict(list)
    with anyio.fail_after(WAIT_S):
        for _ in range(count):
            item = await anext(tree)
            seqs[item.session_id].append(item.event.seq)
    return dict(seqs)


async def test_a_child_is_followed_from_its_start_when_it_is_met():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.append("child", notice(), notice())
        daemon.append("root", notice(), agent_started("child"), notice())
        tree = client.session("root").events(tree=True)
        assert await take(tree, 5) == {"root": [1, 2, 3], "child": [1, 2]}
        await daemon.emit("child", notice())
        await daemon.emit("root", notice())
        assert await take(tree, 2) == {"root": [4], "child": [3]}


async def test_an_event_says_whose_it_is():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.append("child", notice())
        daemon.append("root", agent_started("child", "reviewer"))
        tree = client.session("root").events(tree=True)
        with anyio.fail_after(WAIT_S):
            items = [await anext(tree), await anext(tree)]
        assert all(isinstance(item, TreeEvent) and item.epoch == EPOCH for item in items)
        assert {(item.session_id, item.agent) for item in items} == {("root", None), ("child", "reviewer")}


async def test_children_of_children_are_followed():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.append("c", notice())
        daemon.append("b", agent_started("c"))
        daemon.append("a", agent_started("b"))
        assert await take(client.session("a").events(tree=True), 3) == {"a": [1], "b": [1], "c": [1]}


async def test_a_child_whose_agent_is_done_is_read_to_its_end_and_let_go_of():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.append("root", agent_started("child"))
        daemon.append("child", notice())
        tree = client.session("root").events(tree=True)
        assert await take(tree, 2) == {"root": [1], "child": [1]}
        daemon.append("child", notice(), notice())  # Not sent: what a slow daemon would still have to send.
        await daemon.emit("root", agent_completed("child"))
        assert await take(tree, 3) == {"root": [2], "child": [2, 3]}
        await daemon.emit("root", notice())
        assert await take(tree, 1) == {"root": [3]}
        with anyio.fail_after(WAIT_S):
            await daemon.received_enough("session/unsubscribe")
        assert daemon.subscribed == {"root"}
        assert len(daemon.calls("session/subscribe")) == 2


async def test_a_child_that_failed_or_is_gone_does_not_end_the_tree():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        failed = events.AgentFailed(
            agent="helper", error=ErrorInfo(kind="x", message="no"), session_id="deleted"
        )
        daemon.append("root", agent_started("deleted"), failed, notice())
        assert await take(client.session("root").events(tree=True), 3) == {"root": [1, 2, 3]}


async def test_a_busy_session_does_not_starve_the_others():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.append("child", *(notice() for _ in range(50)))
        daemon.append("root", agent_started("child"), *(notice() for _ in range(400)))
        seqs = await take(client.session("root").events(tree=True), 200)
        assert len(seqs["child"]) == 50


async def test_the_tree_ends_with_its_first_session():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.append("child", notice())
        daemon.append("root", agent_started("child"), events.SessionEnded(reason="deleted"))
        with anyio.fail_after(WAIT_S):
            items = [item async for item in client.session("root").events(tree=True)]
        assert [item.event.seq for item in items if item.session_id == "root"] == [1, 2]


async def test_a_tree_of_a_session_that_does_not_exist_is_told():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        with pytest.raises(NotFound):
            await take(client.session("nobody").events(tree=True), 1)


async def test_only_the_wanted_types_come_of_each_session():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.append("child", notice(), events.RunInterrupted(cause="x"))
        daemon.append("root", notice(), agent_started("child"), events.RunInterrupted(cause="x"))
        tree = client.session("root").events(tree=True, types=("agent_started", "run_interrupted"))
        assert await take(tree, 3) == {"root": [2, 3], "child": [2]}
