"""Questions to people, put to this editor: permissions, choices, forms; and what its answers mean to us.

Called by the library for each open request of a session that is open here. If the request is resolved
elsewhere the call is cancelled, and the editor's dialog with it.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, cast

import anyio.to_thread
import msgspec

from holdfast_client.aio.answers import Answer, Ask, Reply
from holdfast_client.bridges.acp import tool_calls
from holdfast_client.bridges.acp.content import output_shown, text_shown
from holdfast_client.bridges.acp.peer import CallRefused, Peer
from holdfast_client.bridges.acp.transcript import question_kind
from holdfast_client.bridges.acp.window import Window
from holdfast_client.errors import ClientError
from holdfast_client.shell import proposal
from holdfast_protocol.errors import RpcError
from holdfast_protocol.events import RequestOpened
from holdfast_protocol.foreign.acp import client_calls as acp
from holdfast_protocol.foreign.acp.content import ToolContent
from holdfast_protocol.foreign.acp.handshake import Elicitation
from holdfast_protocol.foreign.acp.updates import ToolCallChanged

_logger = logging.getLogger(__name__)

_KINDS: Final[dict[str, acp.OptionKind]] = {
    "allow_once": "allow_once",
    "allow_session": "allow_always",
    "allow_always": "allow_always",
    "deny": "reject_once",
}

_REFUSALS: Final = frozenset({"stop", "keep_planning", "decline", "deny"})
"""Choices that stop something; all others let it go on."""

DENY_ALWAYS: Final = "deny_session"
"""Our fourth answer to a permission: a denial that stands in this session."""

VALUES_MAX: Final = 256
VALUES_BYTES_MAX: Final = 64 * 1024
"""What the daemon takes of a form; what an editor sends beyond that must not be our mistake."""

FindWindow = Callable[[str], Awaitable[Window | None]]
"""Gives the window that shows a session, or that of the session it works for."""


class _Offer(NamedTuple):
    """Options as the editor shows them, and what each means."""

    options: tuple[acp.PermissionOption, ...]
    answers: dict[str, Answer]


class Dialogs:
    """The dialogs of one editor.

    Args:
        peer: the editor.
        elicitation: which questions of tools it can put.
        find: finds windows.
    """

    def __init__(self, peer: Peer, elicitation: Elicitation | None, find: FindWindow) -> None:
        self._peer = peer
        self._elicitation = elicitation or Elicitation()
        self._find = find

    async def ask(self, ask: Ask) -> Reply:
        """Put a request to the editor; None leaves it to others."""
        try:
            window = await self._find(ask.session_id)
        except (RpcError, ClientError) as error:
            _logger.info("request %s: %s", ask.request.request_id, error)
            return None
        if window is None:
            return None
        is_here = window.session.id == ask.session_id
        if is_here:
            await window.shown(ask.request.seq)
        try:
            return await self._put(window, ask.request, "" if is_here else f"{ask.session_id}/")
        except CallRefused as refused:
            _logger.warning("the editor could not ask: %s", refused)
            return self._unanswered(window, ask.request, refused.error.message)

    def _unanswered(self, window: Window, request: RequestOpened, why: str) -> Reply:
        """An editor that cannot ask must not keep its own prompt waiting for ever; a denial is safe."""
        if request.kind != "permission" or all(turn.run_id != request.run_id for turn in window.turns):
            return None
        return Answer(outcome="deny", message=f"The editor could not ask: {why}"[:1000])

    async def _put(self, window: Window, request: RequestOpened, prefix: str) -> Reply:
        detail = _members(request.detail)
        if detail.get("question") == "elicitation":
            if isinstance(detail.get("schema"), dict):
                return await self._form(window, request, detail) if self._elicitation.form else None
            if isinstance(detail.get("url"), str) and self._elicitation.url:
                return await self._page(window, request, detail)
        return await self._permission(window, request, detail, prefix)

    # Permissions and choices ---------------------------------------------------------------------------

    async def _permission(
        self, window: Window, request: RequestOpened, detail: dict[str, Any], prefix: str
    ) -> Reply:
        offer = _offer(request, detail)
        subject = await _subject(request, detail, window.cwd, prefix)
        params = acp.RequestPermission(session_id=window.session.id, tool_call=subject, options=offer.options)
        answer = await self._peer.call("session/request_permission", params, acp.PermissionAnswer)
        if answer.outcome.outcome == "selected" and answer.outcome.option_id in offer.answers:
            return offer.answers[answer.outcome.option_id]
        for turn in window.turns:  # Whoever dismisses a dialog of their own prompt cancels that.
            if turn.run_id == request.run_id:
                window.cancel_turn(turn)
        return None

    # Questions of tools --------------------------------------------------------------------------------

    async def _form(self, window: Window, request: RequestOpened, detail: dict[str, Any]) -> Reply:
        params = acp.FormElicitation(
            session_id=window.session.id,
            message=str(detail.get("message") or request.title),
            requested_schema=detail["schema"],
            tool_call_id=request.tool_call_id,
        )
        answer = await self._peer.call("elicitation/create", params, acp.ElicitationAnswer)
        values = answer.content or {}
        if answer.action != "accept":
            return Answer(outcome="decline")
        if len(values) > VALUES_MAX or len(msgspec.json.encode(values)) > VALUES_BYTES_MAX:
            _logger.warning("request %s: the form is filled in with too much", request.request_id)
            return Answer(outcome="decline")
        return Answer(outcome="accept", values=values)

    async def _page(self, window: Window, request: RequestOpened, detail: dict[str, Any]) -> Reply:
        params = acp.UrlElicitation(
            session_id=window.session.id,
            message=str(detail.get("message") or request.title),
            elicitation_id=request.request_id,
            url=detail["url"],
            tool_call_id=request.tool_call_id,
        )
        answer = await self._peer.call("elicitation/create", params, acp.ElicitationAnswer)
        return Answer(outcome="accept" if answer.action == "accept" else "decline")


def _offer(request: RequestOpened, detail: dict[str, Any]) -> _Offer:
    """Give a request's options in the four kinds, and what each means."""
    options: list[acp.PermissionOption] = []
    answers: dict[str, Answer] = {}
    for option in request.options:
        kind = _KINDS.get(option.kind) or _choice_kind(option.id)
        options.append(acp.PermissionOption(option_id=option.id, name=option.label, kind=kind))
        answers[option.id] = Answer(outcome=option.id)
    if request.kind == "permission" and "tool" in detail:
        name = "Deny in this session"
        options.append(acp.PermissionOption(option_id=DENY_ALWAYS, name=name, kind="reject_always"))
        answers[DENY_ALWAYS] = Answer(outcome="deny", scope="session")
    return _Offer(tuple(options), answers)


def _choice_kind(option_id: str) -> acp.OptionKind:
    return "reject_once" if option_id in _REFUSALS else "allow_once"


async def _subject(request: RequestOpened, detail: dict[str, Any], cwd: str, prefix: str) -> ToolCallChanged:
    """Give what a permission is about: the call, and what it would do."""
    if "tool" not in detail:
        return ToolCallChanged(
            tool_call_id=prefix + (request.tool_call_id or request.request_id),
            title=request.title,
            kind=question_kind(request),
            status="pending",
            content=tuple(_words(detail)) or None,
        )
    locations = tuple(place for place in map(_place, detail.get("locations") or ()) if place is not None)
    return ToolCallChanged(
        tool_call_id=prefix + (request.tool_call_id or request.request_id),
        title=request.title,
        name=str(detail["tool"]),
        kind=detail.get("kind", "other"),
        status="pending",
        content=await _proposal(detail, cwd, locations),
        locations=locations,
        raw_input=detail.get("input"),
    )


def _words(detail: dict[str, Any]) -> list[ToolContent]:
    """Give what a question says beside its title."""
    match detail:
        case {"plan": str(plan)}:
            return [text_shown(plan)]
        case {"message": str(message), "url": str(url)}:
            return [text_shown(f"{message}\n\n{url}")]
        case {"directory": str(directory)}:
            return [text_shown(f"{directory}: {', '.join(map(str, detail.get('has') or ()))}")]
        case _:
            return []


def _place(location: Any) -> tool_calls.Place | None:
    match location:
        case {"path": str(path)}:
            line = cast("dict[str, Any]", location).get("line")
            return tool_calls.Place(path=path, line=line if isinstance(line, int) else None)
        case _:
            return None


async def _proposal(
    detail: dict[str, Any], cwd: str, locations: tuple[tool_calls.Place, ...]
) -> tuple[ToolContent, ...]:
    """Give what the call would do, whole: nobody is to allow what they have not seen."""
    given = _members(detail.get("input"))
    path = tool_calls.place_of(given, locations, cwd)
    before: str | None = None
    if detail["tool"] == "write" and path is not None:
        before = (await anyio.to_thread.run_sync(proposal.read_file, path)).text
    diffs = tool_calls.proposed_diff(str(detail["tool"]), given, path, before)
    if not diffs and isinstance(detail.get("match"), str) and detail.get("kind") == "execute":
        return (output_shown(detail["match"]),)
    return diffs


def _members(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
