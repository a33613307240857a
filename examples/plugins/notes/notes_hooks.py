"""A hook of the notes plugin: sees each call of `add_note` before it runs."""

import re
from typing import Any

SECRET = re.compile(r"(password|api[_-]?key)\s*[:=]", re.IGNORECASE)


def no_secrets(call: dict[str, Any]) -> dict[str, Any] | None:
    """Refuse a note with a secret; let all others pass."""
    if SECRET.search(str(call["input"].get("text", ""))):
        return {"decision": "deny", "reason": "A note is no place for a secret."}
    return None
