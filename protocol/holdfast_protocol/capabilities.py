"""What the two sides say they can do, and the limits the daemon holds them to (`initialize`)."""

from typing import Literal

import msgspec

RequestKind = Literal["permission", "question", "form"]
"""Kinds of requests to people."""

Role = Literal["observer", "approver", "controller"]
"""What a connection may do, least first. The token decides it, never the client's word."""

ROLES: tuple[Role, ...] = ("observer", "approver", "controller")


class _Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    pass


class ClientCapabilities(_Struct, frozen=True, kw_only=True):
    """What the client can do.

    Attributes:
        answers: the requests a person at this client can answer.
    """

    answers: tuple[RequestKind, ...] = ()


class ServerCapabilities(_Struct, frozen=True, kw_only=True):
    """What the daemon can do beyond the method table of `rpc.discover`.

    Attributes:
        deliveries: values of `session/prompt`'s `delivery`.
        transports: transports this daemon listens on.
    """

    deliveries: tuple[str, ...]
    transports: tuple[str, ...]


class Limits(_Struct, frozen=True, kw_only=True):
    """Limits that concern a client; each is named in the error it causes. Bytes unless the name says so."""

    message_bytes_max: int
    event_bytes_max: int
    batch_bytes_max: int
    snapshot_bytes_max: int
    depth_max: int
    members_max: int
    requests_in_flight_max: int
    requests_per_second_max: int
    subscribers_per_session_max: int
    queued_prompts_max: int
    read_events_max: int
