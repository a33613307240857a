"""A session's log, made up: pages and batches of it as the daemon would send them."""

import msgspec

from holdfast_protocol import events
from holdfast_protocol.methods.subscribe import SessionEventsParams, SessionReadResult

EPOCH = "e1"


def event(seq: int, kind: str = "notice") -> msgspec.Raw:
    """Give an event's body."""
    made = {
        "notice": events.Notice(seq=seq, at=1, kind="test", message=f"number {seq}"),
        "token_delta": events.TokenDelta(seq=seq, at=1, block_id="b", offset=0, text="x"),
        "session_ended": events.SessionEnded(seq=seq, at=1, reason="deleted"),
    }.get(kind)
    return msgspec.Raw(msgspec.json.encode(made or {"type": kind, "seq": seq, "at": 1}))


def page(first: int, last: int, *, head: int | None = None, epoch: str = EPOCH) -> SessionReadResult:
    """Give a page that covers `first`..`last`."""
    head = last if head is None else head
    bodies = tuple(event(seq) for seq in range(first, last + 1))
    return SessionReadResult(epoch=epoch, from_=first, to=last, head=head, events=bodies, more=last < head)


def batch(
    first: int, last: int, *, session_id: str = "s", epoch: str = EPOCH, bodies=None
) -> SessionEventsParams:
    """Give a batch that covers `first`..`last`."""
    given = tuple(event(seq) for seq in range(first, last + 1)) if bodies is None else tuple(bodies)
    return SessionEventsParams(session_id=session_id, epoch=epoch, from_=first, to=last, events=given)


def taken(tail) -> list[int]:
    """Take all a tail holds; give their seqs."""
    return [item.seq for item in iter(tail.take, None)]
