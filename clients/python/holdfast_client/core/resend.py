"""Which calls may be made twice, and how they are made so. Knows no connection.

A call whose connection was lost before its answer came may have taken effect. Reads are asked again. A call
that changes something carries a key, so that the daemon answers the second one with the first one's result.
The few that have no key are sent again only where twice is the same as once.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import msgspec

from holdfast_protocol.methods import CALLS
from holdfast_protocol.methods.prompt import SessionPromptParams

P = TypeVar("P", bound=msgspec.Struct)

_SAME_TWICE: Final = frozenset(
    {
        "command/list",
        "mcp/list",
        "plugin/list",
        "plugin/reload",
        "rule/remove",
        "token/list",
        "token/revoke",
        "tool/register",
        "trust/remove",
    }
)

_OWN_KEYS: Final = {
    "session/create": "session_id",
    "session/fork": "new_session_id",
    "session/prompt": "prompt_id",
    "request/respond": "request_id",
}
"""Ids that are keys by themselves: a second call with the same is answered with the first one's result."""


def keyed(params: P, new_id: Callable[[], str]) -> P:
    """Give params with a key, if the method takes one and none is there.

    A prompt gets a `prompt_id`, which also holds for other clients and over restarts of this one.

    Args:
        params: of a call.
        new_id: gives an id nobody has used.
    """
    if getattr(params, "key", "") is not None:
        return params
    if not isinstance(params, SessionPromptParams):
        return msgspec.structs.replace(params, key=new_id())
    return params if params.prompt_id else msgspec.structs.replace(params, prompt_id=new_id())


def may_resend(method: str, params: Any) -> bool:
    """Tell whether a call may be sent again when its connection was lost before its answer.

    Args:
        method: of the call; one that is not in the table may if it carries a key.
        params: a Struct, or plain JSON with the wire's names.
    """
    if _given(params, "key") or _given(params, _OWN_KEYS.get(method, "")):
        return True
    if method == "session/cancel":
        # Without a run it would cancel whichever runs by then, and empty a queue that was filled since.
        named = _given(params, "run_id") or _given(params, "tool_call_id")
        return named and not _given(params, "clear_queue")
    row = CALLS.get(method)
    return method in _SAME_TWICE or (row is not None and row.role == "observer")


def _given(params: Any, name: str) -> bool:
    """Tell whether a member is there and says something."""
    if isinstance(params, msgspec.Struct):
        return bool(getattr(params, name, None))
    first, *rest = name.split("_")
    members = cast("dict[str, Any]", params) if isinstance(params, dict) else {}
    return bool(members.get(first + "".join(word.title() for word in rest)))
