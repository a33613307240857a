"""Ids of tool calls as a vendor wants them. Pure.

The vendor's own id comes back to it verbatim; a call another model made gets one made of ours, within what
every vendor takes: letters, digits, `_` and `-`, at most 64. So does a call whose id the vendor gave to an
earlier one, as small servers do: in one request an id means one call.
"""

import hashlib
import re
from typing import Final, cast

from holdfast_daemon.models.base import ToolCallPart
from holdfast_protocol.events import Json

_CHARS_MAX: Final = 64
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")


class ToolCallIds:
    """The ids of one request. A result names its call by our id, so calls are noted as they are written.

    Args:
        provider: whose request it is.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._ids: dict[str, str] = {}
        self._used: set[str] = set()

    def of_call(self, call: ToolCallPart) -> str:
        """Give the id of a call, and note it."""
        own = kept_id(call.opaque) if call.provider == self._provider else None
        found = own if own is not None and own not in self._used else fit(call.tool_call_id)
        self._used.add(found)
        self._ids[call.tool_call_id] = found
        return found

    def of_result(self, tool_call_id: str) -> str:
        """Give the id the call of a result went by."""
        return self._ids.get(tool_call_id) or fit(tool_call_id)


def kept_id(opaque: Json) -> str | None:
    """Give the vendor's id out of what it wants back with a call."""
    found = cast("dict[str, Json]", opaque).get("id") if isinstance(opaque, dict) else None
    return found if isinstance(found, str) and found else None


def fit(tool_call_id: str) -> str:
    """Make an id every vendor takes; different ids stay different."""
    fitted = _UNFIT.sub("_", tool_call_id)
    if fitted == tool_call_id and 0 < len(fitted) <= _CHARS_MAX:
        return fitted
    digest = hashlib.blake2b(tool_call_id.encode(), digest_size=8).hexdigest()
    return f"{fitted[: _CHARS_MAX - 17]}_{digest}"
