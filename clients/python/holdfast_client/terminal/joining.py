"""What a person who joins a session is shown of its past: one page of its log, without deltas."""

from typing import Final, NamedTuple

from holdfast_client.aio import Client
from holdfast_client.core.tail import AnyEvent
from holdfast_protocol import events
from holdfast_protocol.methods.session import SessionGetResult
from holdfast_protocol.methods.subscribe import READ_EVENTS_MAX

PROMPTS_MAX: Final = 10
"""Of earlier prompts that are shown; the log has all of them."""

_TYPES: Final = tuple(sorted(set(events.TAGS) - events.DELTA_TAGS))


class Past(NamedTuple):
    """A session up to its head.

    Attributes:
        found: its row and snapshot.
        history: the last of its events, in order, without deltas.
        is_whole: there are no earlier ones.
        requests: that are open, whole.
    """

    found: SessionGetResult
    history: list[AnyEvent]
    is_whole: bool
    requests: tuple[events.RequestOpened, ...]


async def past_of(client: Client, session_id: str) -> Past:
    """Read a session's past.

    Raises:
        RpcError, ClientError: as calls do.
    """
    found = await client.rpc.session_get(session_id=session_id)
    page = await client.rpc.session_read(
        session_id=session_id, before=found.snapshot.head + 1, types=_TYPES, limit=READ_EVENTS_MAX
    )
    history = [events.decode(bytes(body)) for body in page.events]
    kept = last_prompts(history)
    return Past(
        found,
        kept,
        is_whole=not page.more and len(kept) == len(history),
        requests=await _open_requests(client, found),
    )


async def _open_requests(client: Client, found: SessionGetResult) -> tuple[events.RequestOpened, ...]:
    """Give the open requests; a snapshot may have shortened them."""
    requests = found.snapshot.requests
    if not any(request.truncated for request in requests) and "requests" not in found.snapshot.truncated:
        return requests
    listed = await client.rpc.request_list(session_id=found.session.session_id)
    return tuple(item.request for item in listed.requests)


def last_prompts(history: list[AnyEvent], prompts_max: int = PROMPTS_MAX) -> list[AnyEvent]:
    """Give the end of a history, from one of its last prompts on."""
    prompts = [number for number, event in enumerate(history) if isinstance(event, events.PromptReceived)]
    return history[prompts[-prompts_max] :] if len(prompts) > prompts_max else history
