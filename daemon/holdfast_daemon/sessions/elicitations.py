"""Questions of MCP servers, put to people as requests of the session."""

from secrets import token_hex
from typing import TYPE_CHECKING, Final

import anyio

from holdfast_daemon.sessions.consent import Consent, Unattended
from holdfast_protocol import events
from holdfast_protocol.events import Json
from holdfast_protocol.view import View

if TYPE_CHECKING:
    from holdfast_daemon.extensions.mcp_values import Elicitation, ElicitationAnswer

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
    """

    def __init__(self, consent: Consent, view: View) -> None:
        self._consent = consent
        self._view = view

    async def ask(self, elicitation: "Elicitation") -> "ElicitationAnswer":
        """Ask people; a question that is taken back, or that nobody is here for, is cancelled."""
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
