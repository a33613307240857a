"""Takes secrets out of what the doctor says: it is made to be pasted into a bug report."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from holdfast_client.shell.diagnosis.check import contents
from holdfast_protocol.discovery import Locations

_SECRET_NAME: Final = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
_LENGTH_MIN: Final = 6
"""Shorter values stand in ordinary text by chance."""

REDACTED: Final = "[redacted]"


def secrets(locations: Locations, environ: Mapping[str, str]) -> frozenset[str]:
    """Give what must not be said: the daemon's token, and variables whose name says that they are secret."""
    found = {value for name, value in environ.items() if _SECRET_NAME.search(name)}
    found.add((contents(f"{locations.state}/token") or "").strip())
    try:
        record: Any = json.loads(contents(locations.record) or "{}")
    except (ValueError, RecursionError):
        record = {}
    token: Any = cast("dict[str, Any]", record).get("token") if isinstance(record, dict) else None
    found.add(str(token or ""))
    return frozenset(value for value in found if len(value) >= _LENGTH_MIN)


def redact(text: str, hidden: frozenset[str]) -> str:
    """Give the text without any of them, the longest first."""
    for value in sorted(hidden, key=len, reverse=True):
        text = text.replace(value, REDACTED)
    return text
