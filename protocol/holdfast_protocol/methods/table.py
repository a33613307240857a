"""What a row of the method table is."""

from typing import Any, Literal

import msgspec

from holdfast_protocol.capabilities import Role

Direction = Literal["call", "client_notification", "server_notification"]


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table.

    Attributes:
        name: as on the wire, `session/prompt`.
        direction: who sends it, and whether it is answered.
        params: the type of its params.
        result: the type of its result; None for notifications.
        errors: kinds of the error table it can be answered with, beyond those any call can get.
        role: the least role that may call it.
        summary: one sentence.
    """

    name: str
    direction: Direction
    params: type[Any]
    result: type[Any] | None = None
    errors: tuple[str, ...] = ()
    role: Role = "controller"
    summary: str


COMMON_ERRORS: tuple[str, ...] = (
    "invalid_params",
    "internal_error",
    "request_cancelled",
    "overloaded",
    "forbidden",
)
"""Kinds any call can be answered with, once the connection is initialized."""
