"""Keys of calls whose scope is the daemon: create, fork, delete. Session-scoped keys are the session's."""

import hashlib
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import msgspec

from holdfast_daemon.journal.journal import Journal
from holdfast_daemon.journal.store import DAEMON_SCOPE
from holdfast_daemon.sessions.commands import Idempotency
from holdfast_protocol.errors import IdempotencyConflict

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


def digest_of(params: msgspec.Struct, *ignored: str) -> bytes:
    """Give a digest of a call's params.

    Args:
        params: decoded, so that spelling and defaults do not matter.
        ignored: members that do not count; the key itself never does.
    """
    fields = {
        name: value
        for name in params.__struct_fields__
        if name not in ("key", *ignored) and (value := getattr(params, name)) is not msgspec.UNSET
    }
    return hashlib.sha256(msgspec.json.encode(fields, order="deterministic")).digest()


def key_of(client_id: str, method: str, params: msgspec.Struct, key: str | None) -> tuple[Idempotency, ...]:
    """Give a call's key, if it has one."""
    if key is None:
        return ()
    return (Idempotency(client=client_id, method=method, key=key, digest=digest_of(params)),)


class InFlight:
    """Keyed calls under way: a second one with the same key waits for the first."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str, str], anyio.Event] = {}

    @asynccontextmanager
    async def alone(self, keys: tuple[Idempotency, ...]) -> AsyncGenerator[None]:
        """Hold the keys; waits while somebody else holds one of them."""
        names = [(key.client, key.method, key.key) for key in keys]
        while held := next((self._calls[name] for name in names if name in self._calls), None):
            await held.wait()
        done = anyio.Event()
        self._calls.update(dict.fromkeys(names, done))
        try:
            yield
        finally:
            for name in names:
                del self._calls[name]
            done.set()


async def to_the_end(work: Awaitable[T]) -> T:
    """Await a mutation that has begun: cancelling its call changes nothing any more."""
    with anyio.CancelScope(shield=True):
        return await work
    raise AssertionError  # A shielded scope nobody cancels.


async def remembered(journal: Journal, keys: tuple[Idempotency, ...], result_type: type[S]) -> S | None:
    """Give the result one of the keys was used for, marked `replayed`; None if none was used.

    Raises:
        IdempotencyConflict: with other params.
    """
    for key in keys:
        row = await journal.query(journal.store.find_key, DAEMON_SCOPE, key.client, key.method, key.key)
        if row is None:
            continue
        if row.digest != key.digest:
            raise IdempotencyConflict(
                "The key was used before with other params.", resource=key.method, id=key.key
            )
        result = msgspec.json.decode(row.result, type=result_type)
        return msgspec.structs.replace(result, replayed=True)
    return None
