"""What sessions and runs of one client work with."""

from collections.abc import Callable
from typing import NamedTuple

from holdfast_client.aio.answers import Attendance
from holdfast_client.aio.caller import Caller
from holdfast_client.aio.event_stream import EventStream, Follow
from holdfast_client.aio.event_tree import EventTree
from holdfast_client.aio.follower import Follower
from holdfast_client.aio.hosting import Hosting
from holdfast_client.aio.rpc import Rpc


class Parts(NamedTuple):
    """One client's parts. One instance for all its sessions."""

    caller: Caller
    rpc: Rpc
    follower: Follower
    hosting: Hosting
    attendance: Attendance


def make_stream(rpc: Rpc, follower: Follower, follow: Follow) -> EventStream:
    """Make a stream of one session's events."""
    return EventStream(follow, rpc, follower)


def make_tree(rpc: Rpc, follower: Follower, follow: Follow) -> EventTree:
    """Make a stream of a session's events and its children's."""

    def child(session_id: str, epoch: str, wake: Callable[[], None]) -> EventStream:
        return EventStream(follow._replace(session_id=session_id, epoch=epoch, after=0), rpc, follower, wake)

    return EventTree(lambda wake: EventStream(follow, rpc, follower, wake), child)
