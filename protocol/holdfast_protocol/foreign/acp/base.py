"""What all types of this package share: the base Struct, and the marks of what is decoded leniently.

The marks are the schema's `x-deserialize-…` annotations. `tolerance` reads them.
"""

from typing import Any, Final

import msgspec
from msgspec import Meta


class Foreign(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A part of a message. Members it does not know are ignored."""


ON_ERROR: Final = "defaultOnError"
ITEMS: Final = "skipInvalidItems"
ON_NULL: Final = "defaultOnNull"

OPTIONAL: Final = Meta(extra={ON_ERROR: True})
"""A value that does not fit counts as absent."""

SKIPPING: Final = Meta(extra={ON_ERROR: True, ITEMS: True})
"""The same of a list, and an item that does not fit is left out."""

NULLABLE: Final = Meta(extra={ON_NULL: True})
"""Null counts as absent."""

Members = dict[str, Any]
"""A JSON object whose members are somebody else's."""


class Marker(Foreign, frozen=True, kw_only=True):
    """A capability that is there by being an object: `{}`."""


class Nothing(Foreign, frozen=True, kw_only=True):
    """A result without members."""
