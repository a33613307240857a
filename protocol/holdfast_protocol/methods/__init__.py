"""The method table: everything that can be called or notified. What is not here is -32601."""

from holdfast_protocol.methods import (
    catalogue,
    connection,
    daemon,
    extension,
    prompt,
    request,
    session,
    subscribe,
    usage,
)
from holdfast_protocol.methods.table import COMMON_ERRORS, Direction, Method

TABLE: dict[str, Method] = {
    method.name: method
    for family in (connection, session, prompt, subscribe, request, catalogue, extension, usage, daemon)
    for method in family.METHODS
}
"""By name, in the order of PROTOCOL.md."""

CALLS: dict[str, Method] = {name: row for name, row in TABLE.items() if row.direction == "call"}

__all__ = ["CALLS", "COMMON_ERRORS", "TABLE", "Direction", "Method"]
