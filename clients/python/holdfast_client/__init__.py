"""The holdfast command and client library.

    async with holdfast_client.connect() as client: ...             # asyncio or trio
    with holdfast_client.blocking.connect() as client: ...          # no event loop of one's own

Importing this package loads nothing: the command's fast path begins here. What it offers is loaded when it
is first asked for. Nothing of the daemon is imported anywhere.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast_client import aio, blocking, errors
    from holdfast_client.aio import connect

__all__ = ["aio", "blocking", "connect", "errors"]


def __getattr__(name: str) -> Any:
    """Load a part of the library on first use."""
    if name == "connect":
        return import_module("holdfast_client.aio").connect
    if name in __all__:
        return import_module(f"holdfast_client.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
