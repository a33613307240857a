"""What a fake vendor answers, as data: read from the YAML files of a folder, or made in a test.

A file says what is sent and what must come of it; README.md beside this file lists the members. A new fault
is a new file, and no code.
"""

from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

Vendor = Literal["messages", "responses", "chat"]
VENDORS: tuple[Vendor, ...] = ("messages", "responses", "chat")

FOLDER = Path(__file__).parent / "faults"


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Say(_Strict, frozen=True, kw_only=True, tag="text"):
    """Text; each piece is a delta."""

    pieces: tuple[str, ...]


class Think(_Strict, frozen=True, kw_only=True, tag="thinking"):
    """Thinking; `signature` stands for whatever the vendor wants back."""

    pieces: tuple[str, ...]
    signature: str = "c2lnbmF0dXJl+/=="


class Redacted(_Strict, frozen=True, kw_only=True, tag="redacted"):
    """Thinking that is not shown; of Messages only, nothing elsewhere."""

    data: str


class Call(_Strict, frozen=True, kw_only=True, tag="call"):
    """A tool call; `times` makes more of it, with other ids."""

    tool: str
    pieces: tuple[str, ...]
    times: int = 1


class Search(_Strict, frozen=True, kw_only=True, tag="search"):
    """A search the vendor makes by itself; of Messages only, nothing elsewhere."""

    query: str


Piece = Say | Think | Redacted | Call | Search

HELLO: tuple[Piece, ...] = (Say(pieces=("Hel", "lo, wörld ", "🙂.")),)


class Cut(_Strict, frozen=True, kw_only=True):
    """Where the stream stops: after so many events, or so many bytes, or that part of its bytes."""

    events: int | None = None
    bytes: int | None = None
    part: float | None = None


class Reply(_Strict, frozen=True, kw_only=True):
    """One answer; see README.md."""

    status: int = 200
    headers: dict[str, str] = {}
    delay_s: float = 0.0
    raw: str | None = None
    body: str | dict[Vendor, str] | None = None
    answer: tuple[Piece, ...] = HELLO
    stop: Literal["natural", "max_tokens", "refusal", "content_filter", "cut_call", "pause"] = "natural"
    usage: dict[str, int] | None = msgspec.field(default_factory=lambda: {"input": 10, "output": 5})
    before: str | dict[Vendor, str] = ""
    between: str | dict[Vendor, str] = ""
    after: str | dict[Vendor, str] = ""
    line_ending: Literal["lf", "crlf", "cr"] = "lf"
    split_bytes: int | None = None
    pause_s: float = 0.0
    cut: Cut | None = None
    ends: Literal["well", "close", "hang", "pings", "endless"] = "well"


class Expected(_Strict, frozen=True, kw_only=True):
    """What must come of it: an error of that kind, or with none a whole response."""

    kind: str | None = None
    text: str | None = None
    calls: int | None = None
    requests: int = 1
    retry_after_ms: int | None = None
    says: str | None = None
    stop_reason: str | None = None


class Script(_Strict, frozen=True, kw_only=True):
    """A file. The last reply is given to all requests after it."""

    about: str
    vendors: tuple[Vendor, ...] = VENDORS
    replies: tuple[Reply, ...]
    limits: dict[str, Any] = {}
    tries_max: int = 1
    expect: Expected


def load(path: Path) -> Script:
    """Read one file."""
    return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), Script)


def for_vendor(said: str | dict[Vendor, str] | None, vendor: Vendor) -> str:
    """Give what is for this vendor."""
    return said.get(vendor, "") if isinstance(said, dict) else said or ""
