"""The one place all text passes on its way into the log.

Identity for now: no secret is known to the daemon yet. The seam is here so that redaction, when it comes,
cannot be forgotten by one of the many places that emit text.
"""

from typing import Final

HOLD_BACK_MAX: Final = 128
"""Code points of an open block a redactor may hold back to see a secret that spans two deltas."""


class Redactor:
    """Takes text of open blocks piece by piece and gives what may be stored."""

    def feed(self, stream: str, text: str) -> str:
        """Take the next piece of the block or tool call `stream`; give what may be stored of it now."""
        del stream
        return text

    def finish(self, stream: str) -> str:
        """Give what was held back of `stream`; it has ended."""
        del stream
        return ""

    def whole(self, text: str) -> str:
        """Redact a text that is complete."""
        return text
