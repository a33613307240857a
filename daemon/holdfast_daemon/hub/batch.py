"""Frames of notifications: a batch of stored bytes spliced into its envelope, encoded once for all."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from holdfast_daemon.hub.filter import Filter
from holdfast_daemon.journal.store import EventRow
from holdfast_protocol import events
from holdfast_protocol.framing import Framing, encode_frame
from holdfast_protocol.jsonrpc import encode_notification

_string = msgspec.json.encode


class Batch(NamedTuple):
    """A framed `session/events` and how far it goes.

    Attributes:
        frame: None if there is nothing a client must be told of yet.
        to: the last seq it covers.
        delivered: how many events are in it.
    """

    frame: bytes | None
    to: int
    delivered: int


def notification(framing: Framing, method: str, params: Any) -> bytes:
    """Frame any notification."""
    return encode_frame(framing, encode_notification(method, params))


def events_frame(
    framing: Framing, session_id: str, epoch: str, first: int, last: int, bodies: Sequence[bytes]
) -> bytes:
    """Frame a `session/events` that covers `first`..`last`."""
    body = (
        b'{"jsonrpc":"2.0","method":"session/events","params":{"sessionId":%b,"epoch":%b,"from":%d,"to":%d,"events":[%b]}}'
        % (
            _string(session_id),
            _string(epoch),
            first,
            last,
            b",".join(bodies),
        )
    )
    return encode_frame(framing, body)


def batch_of(
    rows: Sequence[EventRow],
    wanted: Filter,
    framing: Framing,
    session_id: str,
    epoch: str,
    cursor: int,
    bytes_max: int,
) -> Batch:
    """Join the wanted ones of consecutive entries, up to `bytes_max` but at least one.

    A left-out event other than a delta is worth a batch without events, so that a client waiting for its
    seq is not kept waiting; left-out deltas alone are covered by the next batch.

    Args:
        rows: not empty; the first follows the position.
        wanted: the filter.
        framing: of the connection.
        session_id: of the session.
        epoch: of its log.
        cursor: the last seq the client was told of; may be before the position.
        bytes_max: bodies' bytes in one batch.
    """
    if wanted.passes_all:  # Nearly every subscriber wants all of it, and nearly always it fits.
        whole = [row.body for row in rows]
        if sum(map(len, whole)) <= bytes_max:
            frame = events_frame(framing, session_id, epoch, cursor + 1, rows[-1].seq, whole)
            return Batch(frame, rows[-1].seq, len(whole))
    bodies: list[bytes] = []
    size, last, notable = 0, cursor, False
    for row in rows:
        if wanted.passes(row):
            size += len(row.body)
            if bodies and size > bytes_max:
                break
            bodies.append(row.body)
        else:
            notable = notable or row.type not in events.DELTA_TAGS
        last = row.seq
    if not bodies and not notable:
        return Batch(None, last, 0)
    frame = events_frame(framing, session_id, epoch, cursor + 1, last, bodies)
    return Batch(frame, last, len(bodies))
