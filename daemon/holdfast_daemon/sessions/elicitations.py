"""Questions of MCP servers, put to people as requests of the session."""

from collections.abc import Awaitable, Callable
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec

from holdfast_daemon.sessions.consent import Consent, Unattended
from holdfast_protocol import events
from holdfast_protocol.errors import StorageUnavailable
from holdfast_protocol.events import Json
from holdfast_protocol.view import View

if TYPE_CHECKING:
    from holdfast_daemon.extensions.mcp_values import Elicitation, ElicitationAnswer

OPEN_MAX: Final = 4
"""Questions of one session that wait for people; a server may ask as often as it likes."""

BYTES_MAX: Final = 64 * 1024
"""Of a question's message, schema and address; it is in the log and in every snapshot while it is open."""

_ACCEPT: Final = "accept"
_DECLINE: Final = "decline"

_OPTIONS: Final = (
    events.RequestOption(id=_ACCEPT, label="Answer", kind="choice"),
    events.RequestOption(id=_DECLINE, label="Decline", kind="choice"),
)

_TITLE_CHARACTERS: Final = 200

_WITHDRAW_S: Final = 2.0
"""How long a question that is taken back may take to say so: a session that is torn down answers nobody."""


class Elicitations:
    """One session's.

    Args:
        consent: the session's people.
        view: the session's; tells which run waits.
        commit: appends an event to the session's log.
    """

    def __init__(
        self, consent: Consent, view: View, commit: Callable[[events.Event], Awaitable[Any]]
    ) -> None:
        self._consent = consent
        self._view = view
        self._commit = commit
        self._open = 0
        self._told: set[str] = set()  # Servers of which a notice says that they were declined.

    async def ask(self, elicitation: "Elicitation") -> "ElicitationAnswer":
        """Ask people; a question that is taken back, or that nobody is here for, is cancelled.

        One that is too large, or more than `OPEN_MAX` at once, is declined without asking.
        """
        from holdfast_daemon.extensions.mcp_values import ElicitationAnswer  # noqa: PLC0415 - loaded by now

        if (why := self._refusal(elicitation)) is not None:
            await self._tell(elicitation.server, why)
            return ElicitationAnswer(action="decline")
        self._open += 1
        try:
            return await self._asked(elicitation)
        finally:
            self._open -= 1

    def _refusal(self, elicitation: "Elicitation") -> str | None:
        if _size(elicitation) > BYTES_MAX:
            return f"a question is over {BYTES_MAX} bytes"
        return f"{OPEN_MAX} questions are open" if self._open >= OPEN_MAX else None

    async def _tell(self, server: str, why: str) -> None:
        """Say it to people; once of a server, which may go on asking."""
        if server in self._told:
            return
        self._told.add(server)
        message = f"The MCP server {server} asks for too much, and is declined: {why}."
        notice = events.Notice(kind="extension_problem", message=message, level="warning")
        try:
            await self._commit(notice)
        except StorageUnavailable:
            self._told.discard(server)  # Nobody saw it.

    async def _asked(self, elicitation: "Elicitation") -> "ElicitationAnswer":
        from holdfast_daemon.extensions.mcp_values import ElicitationAnswer  # noqa: PLC0415 - loaded by now

        request = self._request(elicitation)
        await self._consent.open(request)
        try:
            _asked, answer = await self._consent.answer(request.request_id)
        except Unattended:
            return ElicitationAnswer(action="cancel")
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(_WITHDRAW_S, shield=True):
                await self._consent.withdraw(request.request_id)
            raise
        if answer.outcome == _ACCEPT:
            content = answer.values if elicitation.schema is not None else None
            return ElicitationAnswer(action="accept", content=content)
        return ElicitationAnswer(action="decline" if answer.outcome in (_DECLINE, "deny") else "cancel")

    def _request(self, elicitation: "Elicitation") -> events.RequestOpened:
        run = self._view.run
        detail: dict[str, Json] = {"question": "elicitation", "server": elicitation.server}
        detail["message"] = elicitation.message
        if elicitation.schema is not None:
            detail["schema"] = elicitation.schema
        if elicitation.url is not None:
            detail["url"] = elicitation.url
        return events.RequestOpened(
            run_id=run.run_id if run is not None else None,
            request_id=f"elicit-{token_hex(6)}",
            kind="form" if elicitation.schema is not None else "question",
            title=f"{elicitation.server} asks: {elicitation.message}"[:_TITLE_CHARACTERS],
            detail=detail,
            options=_OPTIONS,
        )


def _size(elicitation: "Elicitation") -> int:
    schema = msgspec.json.encode(elicitation.schema)
    return len(schema) + len(elicitation.message.encode()) + len((elicitation.url or "").encode())
