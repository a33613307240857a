"""A session's open requests to people: who waits for an answer, and which answer counts.

Every request is an event; an answer counts from its own event on. `claim` is what makes one winner: it is
taken without an await before the resolution is queued, by whoever resolves: an answer, an expiry, the end
of the run.
"""

import hashlib

import anyio
import msgspec

from holdfast_protocol import events
from holdfast_protocol.view import View


class Permissions:
    """The open requests of one session.

    Args:
        view: the session's; requests that were open when it was loaded are open still.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._open: dict[str, anyio.Event] = {name: anyio.Event() for name in view.requests}
        self._runs = {name: request.run_id for name, request in view.requests.items()}
        self._claimed: set[str] = set()
        self._awaited: set[str] = set()
        self._resolutions: dict[str, events.RequestResolved] = {}

    def open(self, request_id: str, run_id: str | None) -> None:
        """Take note of a request that is being committed."""
        self._open[request_id] = anyio.Event()
        self._runs[request_id] = run_id

    def abandon(self, request_id: str) -> None:
        """Forget a request that could not be committed."""
        self._open.pop(request_id, None)
        self._runs.pop(request_id, None)
        self._claimed.discard(request_id)

    def claim(self, request_id: str) -> bool:
        """Take the right to resolve a request; False if it is not open or somebody has it."""
        if request_id not in self._open or request_id in self._claimed:
            return False
        self._claimed.add(request_id)
        return True

    def unclaim(self, request_id: str) -> None:
        """Give the right back: the resolution could not be committed."""
        self._claimed.discard(request_id)

    def others_open(self, request_id: str) -> bool:
        """Tell whether another request waits for an answer."""
        return any(name != request_id and name not in self._claimed for name in self._open)

    def claim_all(self, run_id: str) -> list[str]:
        """Take the right to resolve every request of a run that nobody resolves; for its end."""
        names = [name for name in self._open if name not in self._claimed and self._runs.get(name) == run_id]
        self._claimed.update(names)
        return names

    def resolved(self, event: events.RequestResolved) -> None:
        """Hand a durable resolution to whoever waits for it."""
        waiting = self._open.pop(event.request_id, None)
        self._runs.pop(event.request_id, None)
        self._claimed.discard(event.request_id)
        if waiting is not None:
            self._resolutions[event.request_id] = event
            waiting.set()

    async def wait(self, request_id: str) -> events.RequestResolved:
        """Wait for the answer to an open request; each is waited for once."""
        waiting = self._open.get(request_id)
        if waiting is not None:
            self._awaited.add(request_id)
            try:
                await waiting.wait()
            finally:
                self._awaited.discard(request_id)
        return self._resolutions.pop(request_id)

    def take(self, request_id: str) -> events.RequestResolved | None:
        """Give an answer that came since the session was loaded, and that nobody waited for yet."""
        return self._resolutions.pop(request_id, None)

    def run_over(self) -> None:
        """Forget the answers nobody waits for: their calls were cancelled, or answered from the store.

        Who asks for an MCP server is no part of the run, and may not have come to its answer yet.
        """
        self._resolutions = {
            name: resolved for name, resolved in self._resolutions.items() if name in self._awaited
        }


def binding_of(session_id: str, run_id: str, tool: str, tool_input: events.Json, *, hosted: bool) -> str:
    """Give what an approval is bound to: exactly this input of this tool, ours or a client's, in this run."""
    parts = (session_id, run_id, tool, hosted, tool_input)
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def permission_options(*, always: bool) -> tuple[events.RequestOption, ...]:
    """Give the answers a permission request offers."""
    options = [
        events.RequestOption(id="allow_once", label="Allow once", kind="allow_once"),
        events.RequestOption(id="allow_session", label="Allow in this session", kind="allow_session"),
    ]
    if always:
        options.append(
            events.RequestOption(id="allow_always", label="Always allow here", kind="allow_always")
        )
    options.append(events.RequestOption(id="deny", label="Deny", kind="deny"))
    return tuple(options)
