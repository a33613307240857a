"""Open requests to people, `OpenRequest` on the wire: which one a person means, and answering it."""

from typing import Any, Final

from holdfast_client.shell import inquiry, sessions
from holdfast_client.shell.exit_codes import FAILED, NO_SESSION, USAGE, CommandFailed, UsageError

Open = dict[str, Any]
"""`{"sessionId": …, "request": {…, "requestId": …}}`"""

_CANDIDATES_SHOWN: Final = 5

_MEANT: Final = {"allow": ("continue", "ask", "accept"), "deny": ("stop", "decline")}
"""Options that say yes or no: go on beyond a limit; carry a plan out, asking before each change; answer a
server's question."""


def label(item: Open) -> str:
    """Name a request so that `choose` finds it again: a request's own id is unique only in its session."""
    return f"{item['sessionId']}/{item['request']['requestId']}"


def choose(caller: sessions.Caller, name: str) -> Open:
    """Give the open request a person means.

    By `SESSION/REQUEST`, the request's id, the beginning of any of them, or by its session, if that waits
    for one answer only.

    Raises:
        CommandFailed: none is meant (NO_SESSION), several are (USAGE), or its session asks nothing (FAILED).
    """
    listed: list[Open] = caller.call("request/list", {})["requests"]
    for group in (_exact(listed, name), _beginning(listed, name)):
        if group:
            return _only(group, name)
    try:
        session_id = sessions.resolve(caller, name)["sessionId"]
    except CommandFailed as failure:
        if failure.exit_code != NO_SESSION:
            raise
        raise CommandFailed(
            f"there is no open request and no session {name!r}", NO_SESSION, "not_found"
        ) from None
    group = [item for item in listed if item["sessionId"] == session_id]
    if not group:
        raise CommandFailed(f"session {session_id} asks nothing", FAILED, "nothing_asked")
    return _only(group, name)


def _exact(listed: list[Open], name: str) -> list[Open]:
    return [item for item in listed if name in (label(item), item["request"]["requestId"])]


def _beginning(listed: list[Open], name: str) -> list[Open]:
    session, slash, request = name.partition("/")
    if slash:
        return [
            item
            for item in listed
            if item["sessionId"].startswith(session) and item["request"]["requestId"].startswith(request)
        ]
    return [item for item in listed if name and item["request"]["requestId"].startswith(name)]


def _only(group: list[Open], name: str) -> Open:
    if len(group) == 1:
        return group[0]
    shown = ", ".join(f"{label(item)} ({item['request']['title']})" for item in group[:_CANDIDATES_SHOWN])
    more = "" if len(group) <= _CANDIDATES_SHOWN else f" and {len(group) - _CANDIDATES_SHOWN} more"
    raise CommandFailed(f"{name!r} may be {shown}{more}", USAGE, "ambiguous")


def respond(caller: sessions.Caller, item: Open, answer: dict[str, Any]) -> dict[str, Any]:
    """Answer a request, and give what counts: ours, or the answer that came before it.

    Args:
        caller: a connection.
        item: an open request.
        answer: `outcome`, and `scope`, `message` or `values`, which are text here.

    Returns:
        `sessionId`, `requestId`, `title`, `accepted`, `outcome`, `by`.

    Raises:
        UsageError: the request is a question, and this is not one of its answers.
    """
    request = item["request"]
    outcome = _outcome(item, answer["outcome"])
    params = {"sessionId": item["sessionId"], "requestId": request["requestId"], **answer, "outcome": outcome}
    params |= _filled_in(request, outcome, answer.get("values"))
    result = caller.call("request/respond", params)
    return {
        "sessionId": item["sessionId"],
        "requestId": request["requestId"],
        "title": request["title"],
        "accepted": result["accepted"],
        "outcome": result["outcome"],
        "by": result["by"],
    }


def _filled_in(request: dict[str, Any], outcome: str, text: str | None) -> dict[str, Any]:
    """Give the values of a form that is accepted.

    Raises:
        UsageError: it is no such form, or the text does not fill it in.
    """
    if outcome != "accept" or not inquiry.is_form(request):
        if text is not None:
            raise UsageError(f"{request['title']!r} takes no --values")
        return {}
    try:
        return {"values": inquiry.values(request["detail"], text or "")}
    except inquiry.Misfit as misfit:
        raise UsageError(f"--values: {misfit}") from None


def _outcome(item: Open, outcome: str) -> str:
    """Give the outcome for the daemon: of a question, the option that `allow` or `deny` comes to."""
    request = item["request"]
    options = [option["id"] for option in request["options"]]
    if request["kind"] == "permission" or outcome in options:
        return outcome
    for meant in _MEANT.get(outcome, ()):
        if meant in options:
            return meant
    raise UsageError(
        f"{request['title']!r} is a question: `approve {label(item)} --option` takes {', '.join(options)}"
    )
