"""What is looked at when a conversation is over: every log there is, and every connection's transcript."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from conversations.log_promises import Event, log_violations
from conversations.wire_promises import Connection, merged_logs
from fakes.raw_client import RawClient
from holdfast_protocol import events
from holdfast_protocol.view import fold

_PAGE_EVENTS = 1000


async def read_all_logs(client: RawClient) -> list[str]:
    """Read every session's log and snapshot; give sentences about what is broken in them."""
    broken: list[str] = []
    for session in await _all_sessions(client):
        log = await _read_log(client, session)
        broken += [f"{session}: {sentence}" for sentence in log_violations(log)]
        broken += await _compare_with_snapshot(client, session, log)
    return broken


def transcript_violations(clients: Sequence[RawClient], *, relayed: bool) -> list[str]:
    """Check all connections of a conversation, each alone and all against each other."""
    connections = [Connection(client.transcript, relayed=relayed) for client in clients]
    broken = [
        f"client {client.name}: {sentence}"
        for client, connection in zip(clients, connections, strict=True)
        for sentence in connection.broken
    ]
    for (session, _epoch), log in merged_logs(connections, broken).items():
        whole = [log[seq] for seq in sorted(log)]
        if whole and whole[-1]["seq"] == len(whole):  # Nothing is missing that a filter left out.
            broken += [f"{session}, as it was heard: {sentence}" for sentence in log_violations(whole)]
    return broken


async def _all_sessions(client: RawClient) -> list[str]:
    found: list[str] = []
    params: dict[str, Any] = {"archived": True}
    while True:
        page = await client.call("session/list", **params)
        found += [row["sessionId"] for row in page["sessions"]]
        if "next" not in page:
            return found
        params["cursor"] = page["next"]


async def _read_log(client: RawClient, session: str) -> list[Event]:
    log: list[Event] = []
    more = True
    while more:
        page = await client.call("session/read", sessionId=session, after=len(log), limit=_PAGE_EVENTS)
        log += page["events"]
        more = page["more"]
    return log


async def _compare_with_snapshot(client: RawClient, session: str, log: list[Event]) -> list[str]:
    """A snapshot is the fold of the log up to its head; nothing else knows more."""
    found = await client.call("session/get", sessionId=session)
    snapshot = found["snapshot"]
    upto = log[: snapshot["head"]]
    if snapshot["head"] != len(upto):
        return []  # A run goes on; there is more by now than was read.
    folded = json.loads(msgspec.json.encode(fold(None, [events.convert(event) for event in upto])))
    if folded != snapshot:
        return [f"{session}: its snapshot is {snapshot}, the fold of its log {folded}"]
    return []
