"""One log over several connections: no event twice, none missing, whatever the daemon dies of."""

import contextlib
from collections.abc import Callable, Generator
from typing import Any

import pytest
from shell_world import Home, Peer, Script, ScriptedDaemon

from holdfast_client.shell import daemon, endpoint
from holdfast_client.shell import link as link_module
from holdfast_client.shell.exit_codes import CommandFailed, Detached, Unreachable
from holdfast_client.shell.follower import Arrival, Follower
from holdfast_client.shell.interrupts import Interrupts
from holdfast_client.shell.link import Link
from holdfast_client.shell.wire import CallRefused

pytestmark = pytest.mark.usefixtures("in_home")

EPOCH = "e1"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "RECONNECT_TIMEOUT_S", 0.5)


def event(seq: int, **members: Any) -> dict[str, Any]:
    return {"type": "notice", "seq": seq, "at": 1, "kind": "k", "message": f"m{seq}", **members}


def subscribe(peer: Peer, head: int = 0, epoch: str = EPOCH) -> dict[str, Any]:
    return peer.answer({"epoch": epoch, "from": 1, "head": head, "oldest": 1})


def batch(peer: Peer, first: int, last: int, *seqs: int) -> None:
    shown = [event(seq) for seq in (seqs or range(first, last + 1))]
    peer.notify(
        "session/events", **{"sessionId": "s1", "epoch": EPOCH, "from": first, "to": last, "events": shown}
    )


def caught_up(peer: Peer, head: int) -> None:
    peer.notify("session/caughtUp", sessionId="s1", epoch=EPOCH, head=head)


@contextlib.contextmanager
def following(home: Home, *scripts: Script, after: Any = 0) -> Generator[tuple[Follower, Link, Interrupts]]:
    """Play scripts and follow session s1."""
    with (
        ScriptedDaemon(home, *scripts),
        Interrupts() as interrupts,
        contextlib.closing(daemon.open_link(interrupts, may_start=False)) as link,
    ):
        follower = Follower(link, "s1", interrupts)
        follower.begin(after)
        yield follower, link, interrupts


def until_caught_up(follower: Follower) -> list[Arrival]:
    arrived: list[Arrival] = []
    while not any(arrival.kind == "caught_up" for arrival in arrived):
        follower.wait()
        arrived.extend(follower.arrivals())
    return arrived


Follow = Callable[..., list[Arrival]]


@pytest.fixture
def follow(home: Home) -> Follow:
    """Play scripts, follow session s1, and give what arrives up to and with `caught_up`."""

    def followed(*scripts: Script, after: Any = 0) -> list[Arrival]:
        with following(home, *scripts, after=after) as (follower, _, _):
            return until_caught_up(follower)

    return followed


def seqs(arrived: list[Arrival]) -> list[int]:
    return [arrival.data["seq"] for arrival in arrived if arrival.kind == "event"]


def test_events_come_in_order_and_then_the_head(follow: Follow) -> None:
    def script(peer: Peer) -> None:
        peer.shake_hands()
        subscribe(peer, head=3)
        batch(peer, 1, 2)
        batch(peer, 3, 3)
        caught_up(peer, 3)

    arrived = follow(script)

    assert seqs(arrived) == [1, 2, 3]
    assert arrived[-1] == Arrival("caught_up", 3)


def test_a_daemon_that_dies_in_mid_batch_is_asked_for_the_rest(follow: Follow) -> None:
    asked = []

    def dies(peer: Peer) -> None:
        peer.shake_hands()
        subscribe(peer, head=5)
        batch(peer, 1, 2)
        peer.send_bytes(b'{"jsonrpc":"2.0","method":"session/events","params":{"sessionId":"s1","ev')

    def comes_back(peer: Peer) -> None:
        peer.shake_hands("another")
        asked.append(subscribe(peer, head=5)["params"])
        batch(peer, 3, 5)
        caught_up(peer, 5)

    arrived = follow(dies, comes_back)

    assert seqs(arrived) == [1, 2, 3, 4, 5]
    assert (asked[0]["after"], asked[0]["epoch"]) == (2, EPOCH)
    assert [arrival.data["instanceId"] for arrival in arrived if arrival.kind == "restored"] == ["another"]


def test_events_that_come_twice_are_given_once(follow: Follow) -> None:
    def script(peer: Peer) -> None:
        peer.shake_hands()
        subscribe(peer)
        batch(peer, 1, 3)
        batch(peer, 2, 4)
        caught_up(peer, 4)

    assert seqs(follow(script)) == [1, 2, 3, 4]


def test_what_a_batch_covers_moves_the_cursor_though_it_was_not_sent(
    follow: Follow,
) -> None:
    asked = []

    def dies(peer: Peer) -> None:
        peer.shake_hands()
        subscribe(peer, head=9)
        batch(peer, 1, 9, 4)

    def comes_back(peer: Peer) -> None:
        peer.shake_hands()
        asked.append(subscribe(peer, head=9)["params"]["after"])
        caught_up(peer, 9)

    assert seqs(follow(dies, comes_back)) == [4]
    assert asked == [9]


def test_a_missing_batch_is_fetched_over_a_fresh_connection(follow: Follow) -> None:
    asked = []

    def loses_one(peer: Peer) -> None:
        peer.shake_hands()
        subscribe(peer)
        batch(peer, 1, 1)
        batch(peer, 3, 3)
        peer.receive_end()

    def complete(peer: Peer) -> None:
        peer.shake_hands()
        asked.append(subscribe(peer)["params"]["after"])
        batch(peer, 2, 3)
        caught_up(peer, 3)

    assert seqs(follow(loses_one, complete)) == [1, 2, 3]
    assert asked == [1]


def test_a_log_that_stays_broken_is_given_up(follow: Follow) -> None:
    def broken(peer: Peer) -> None:
        peer.shake_hands()
        subscribe(peer)
        batch(peer, 3, 3)
        peer.receive_end()

    with pytest.raises(CommandFailed, match="gap after event 0"):
        follow(*[broken] * 4)


def test_batches_of_another_epoch_or_session_are_not_ours(follow: Follow) -> None:
    def script(peer: Peer) -> None:
        peer.shake_hands()
        subscribe(peer)
        stray = {"from": 1, "to": 1, "events": [event(1)]}
        peer.notify("session/events", **{"sessionId": "s2", "epoch": EPOCH, **stray})
        peer.notify("session/events", **{"sessionId": "s1", "epoch": "e0", **stray})
        batch(peer, 1, 1)
        caught_up(peer, 1)

    assert len(seqs(follow(script))) == 1


def test_from_the_head_the_cursor_begins_there(follow: Follow) -> None:
    def script(peer: Peer) -> None:
        peer.shake_hands()
        asked = subscribe(peer, head=7)
        assert asked["params"]["after"] == "head"
        batch(peer, 8, 8)
        caught_up(peer, 8)

    assert seqs(follow(script, after="head")) == [8]


def test_a_log_that_was_replaced_meanwhile_is_an_error_and_never_a_silent_from_now(
    follow: Follow,
) -> None:
    def dies(peer: Peer) -> None:
        peer.shake_hands()
        subscribe(peer)
        batch(peer, 1, 1)

    def replaced(peer: Peer) -> None:
        peer.shake_hands()
        peer.refuse(-32008, "cursor_invalid", epoch="e2")

    with pytest.raises(CallRefused) as raised:
        follow(dies, replaced)

    assert raised.value.kind == "cursor_invalid"


def test_a_daemon_that_stays_away_is_given_up(follow: Follow) -> None:
    def dies(peer: Peer) -> None:
        peer.shake_hands()
        subscribe(peer)

    with pytest.raises(Unreachable, match="no daemon came back"):
        follow(dies)


def test_who_leaves_while_no_daemon_is_there_is_let_go(home: Home) -> None:
    def dies(peer: Peer) -> None:
        peer.shake_hands()
        subscribe(peer)

    with following(home, dies) as (follower, _, interrupts):
        interrupts.count = 2
        with pytest.raises(Detached):
            until_caught_up(follower)


def test_a_call_whose_answer_was_lost_is_made_again(home: Home) -> None:
    asked = []

    def dies(peer: Peer) -> None:
        peer.shake_hands()
        asked.append(peer.receive()["params"])

    def answers(peer: Peer) -> None:
        peer.shake_hands()
        asked.append(peer.answer({"sessionId": "s1"})["params"])

    with (
        ScriptedDaemon(home, dies, answers),
        Interrupts() as interrupts,
        contextlib.closing(daemon.open_link(interrupts, may_start=False)) as link,
    ):
        assert link.call("session/create", {"sessionId": "s1"}) == {"sessionId": "s1"}

    assert asked == [{"sessionId": "s1"}] * 2


def test_a_daemon_that_says_it_stops_is_not_started_again(home: Home) -> None:
    """Not against the will of the person who stopped it: nothing is started while it is away."""
    started = []

    def stops(peer: Peer) -> None:
        peer.shake_hands()
        subscribe(peer)
        peer.notify("daemon/state", state="stopping")
        caught_up(peer, 0)

    with ScriptedDaemon(home, stops), Interrupts() as interrupts:
        locations = endpoint.locate()

        def start() -> endpoint.Connection:
            started.append(1)
            return endpoint.connect(locations, "shell-test")

        link = Link(lambda: endpoint.connect(locations, "shell-test"), start, interrupts)
        link.open()
        follower = Follower(link, "s1", interrupts)
        follower.begin(0)
        until_caught_up(follower)
        with pytest.raises(Unreachable):
            until_caught_up(follower)

    assert len(started) == 1  # The first connection.


def test_a_daemon_that_vanished_is_started_again_after_a_while(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First its supervisor, if it has one, gets the time to."""
    monkeypatch.setattr(link_module, "START_AFTER_S", 0.1)
    tried = []

    def dies(peer: Peer) -> None:
        peer.shake_hands()
        subscribe(peer)

    with ScriptedDaemon(home, dies), Interrupts() as interrupts:
        locations = endpoint.locate()

        def connect() -> endpoint.Connection:
            tried.append("connect")
            return endpoint.connect(locations, "shell-test")

        def start() -> endpoint.Connection:
            tried.append("start")
            return endpoint.connect(locations, "shell-test")

        link = Link(connect, start, interrupts)
        link.open()
        follower = Follower(link, "s1", interrupts)
        follower.begin(0)
        with pytest.raises(Unreachable):
            until_caught_up(follower)

    assert tried[:2] == ["start", "connect"]
    assert tried[-1] == "start"
