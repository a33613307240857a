"""Why a provider gave no response: one closed set of kinds, for all vendors. Pure.

`Fault` is raised where the bytes are looked at; `ProviderModel` says which provider it was, and makes it the
`ModelError` everybody else knows. What a provider wrote enters a message bounded and with keys struck out;
what is no error body of an API (a page of HTML, a stream of something else) is never quoted.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

import msgspec

from holdfast_protocol.events import ErrorInfo

ModelErrorKind = Literal[
    "auth",
    "billing",
    "permission",
    "not_found",
    "bad_request",
    "context_too_long",
    "too_large",
    "content_filter",
    "rate_limited",
    "overloaded",
    "server",
    "timeout",
    "transport",
    "truncated",
    "garbage",
    "circuit_open",
]

RETRYABLE: Final[frozenset[ModelErrorKind]] = frozenset(
    ("rate_limited", "overloaded", "server", "timeout", "transport", "truncated", "circuit_open")
)

MESSAGE_CHARS_MAX: Final = 500

BODY_BYTES_MAX: Final = 64 * 1024
"""Of a refusal's body; what is beyond is not read."""

_LEADS: Final[Mapping[ModelErrorKind, str]] = {
    "auth": "The provider does not accept the key.",
    "billing": "The provider wants to be paid first.",
    "permission": "The key may not do this.",
    "not_found": "The provider knows no such model or address.",
    "bad_request": "The provider refuses the request.",
    "context_too_long": "The conversation is longer than the model's window.",
    "too_large": "The request is too large.",
    "content_filter": "The provider's content filter stopped this.",
    "rate_limited": "The provider's rate limit is reached.",
    "overloaded": "The provider is overloaded.",
    "server": "The provider has an internal error.",
    "timeout": "The provider took too long.",
    "transport": "The connection to the provider failed.",
    "truncated": "The response broke off.",
    "garbage": "The answer is not what the provider's API gives.",
    "circuit_open": "The provider failed again and again, and is left alone for a while.",
}

_BY_STATUS: Final[Mapping[int, ModelErrorKind]] = {
    400: "bad_request",
    401: "auth",
    402: "billing",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "server",
    413: "too_large",
    422: "bad_request",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}

_BY_NAME: Final[Mapping[str, ModelErrorKind]] = {
    # Types of Anthropic's errors.
    "invalid_request_error": "bad_request",
    "authentication_error": "auth",
    "billing_error": "billing",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limited",
    "api_error": "server",
    "timeout_error": "timeout",
    "overloaded_error": "overloaded",
    # Codes and types of OpenAI's, and of servers that follow it.
    "context_length_exceeded": "context_too_long",
    "exceed_context_size_error": "context_too_long",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "invalid_api_key": "auth",
    "invalid_authentication_error": "auth",
    "insufficient_quota": "billing",
    "exceeded_current_quota_error": "billing",
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_reached_error": "rate_limited",
    "engine_overloaded_error": "overloaded",
    "server_is_overloaded": "overloaded",
    "slow_down": "overloaded",
    "server_error": "server",
    "model_not_found": "not_found",
    "invalid_prompt": "bad_request",
}
"""Names that say more than the status does. Texts are looked at only where no name does (`_SAYINGS`)."""

_SAYINGS: Final[tuple[tuple[re.Pattern[str], ModelErrorKind], ...]] = (
    (
        re.compile(
            r"prompt is too long|maximum context length|context (?:window|size|limit)"
            r"|exceeds? the (?:model's )?context",
            re.IGNORECASE,
        ),
        "context_too_long",
    ),
    (re.compile(r"content exists risk|content[ _]filter", re.IGNORECASE), "content_filter"),
    (re.compile(r"insufficient balance|credit balance is too low", re.IGNORECASE), "billing"),
)
"""What providers say where the status is a plain 400 and no name tells it apart."""

_KEY_SHAPES: Final = re.compile(r"(?i)\b(?:bearer\s+\S+|(?:sk|pk|rk)-[\w*.-]{6,})")
_STRUCK_OUT: Final = "[key]"
_SECRET_CHARS_MIN: Final = 6  # A dummy such as `none` is no secret and may be a word of the message.


class Fault(Exception):
    """Something is wrong with a response; who answered is not known here.

    Attributes:
        said: what the provider said of it, unredacted; None where it said nothing that may be quoted.
    """

    def __init__(
        self,
        kind: ModelErrorKind,
        said: str | None = None,
        *,
        status: int | None = None,
        request_id: str | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(kind)
        self.kind: ModelErrorKind = kind
        self.said = said
        self.status = status
        self.request_id = request_id
        self.retry_after_ms = retry_after_ms

    def info(self, provider: str, secret: str | None, request_id: str | None = None) -> ErrorInfo:
        """Give what the log says of it, with `secret` struck out of all that was said."""
        said = "" if self.said is None else _plain(redacted(self.said, secret))
        message = f"{_LEADS[self.kind]} {provider}: {said}" if said else f"{_LEADS[self.kind]} ({provider})"
        request_id = self.request_id or request_id
        return ErrorInfo(
            kind=self.kind,
            message=message[:MESSAGE_CHARS_MAX],
            retryable=self.kind in RETRYABLE,
            retry_after_ms=self.retry_after_ms,
            provider=provider,
            status=self.status,
            request_id=None if request_id is None else _plain(redacted(request_id, secret))[:128],
        )


class _Described(msgspec.Struct):
    """The members of an error body, wherever they stand; providers differ, and some send null."""

    type: Any = None
    code: Any = None
    message: Any = None


class _Body(_Described):
    error: Any = None
    detail: Any = None


def refusal(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Fault:
    """Give the fault of a response that is no success.

    Args:
        status: of HTTP.
        headers: looked up in small letters.
        body: as much of it as was read.
        now_s: Unix time, for a date in Retry-After.
    """
    names, said = described(body)
    return Fault(
        _kind(status, names, said),
        said,
        status=status,
        request_id=headers.get("request-id") or headers.get("x-request-id"),
        retry_after_ms=retry_after_ms(headers, now_s),
    )


def named(names: tuple[str, ...], said: str | None, default: ModelErrorKind = "server") -> Fault:
    """Give the fault of an error that came in the stream, after a status of 200."""
    return Fault(_of_names(names) or _of_saying(said) or default, said)


def described(body: bytes) -> tuple[tuple[str, ...], str | None]:
    """Give the names an error body goes by, and what it says; nothing if it is no error body."""
    try:
        found = msgspec.json.decode(body, type=_Body)
        inner: Any = found.error
        detail: Any = found.detail
        if isinstance(inner, dict):
            found = msgspec.convert(inner, _Described)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return (), None
    names = tuple(name for name in (found.code, found.type) if isinstance(name, str))
    return names, _text(found.message) or _text(inner) or _text(detail)


def _text(said: Any) -> str | None:
    return said if isinstance(said, str) else None


def retry_after_ms(headers: Mapping[str, str], now_s: float) -> int | None:
    """Read how long to wait; None if nothing (sensible) is said. A date counts from `now_s`, Unix time."""
    for name, factor in (("retry-after-ms", 1), ("retry-after", 1000)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
            return int(float(value) * factor)
    try:
        at = parsedate_to_datetime(headers.get("retry-after", "")).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0, int((at - now_s) * 1000))


def redacted(text: str, secret: str | None) -> str:
    """Strike a key, and whatever looks like one, out of a text."""
    if secret and len(secret) >= _SECRET_CHARS_MIN:
        text = text.replace(secret, _STRUCK_OUT)
    return _KEY_SHAPES.sub(_STRUCK_OUT, text)


def _kind(status: int, names: tuple[str, ...], said: str | None) -> ModelErrorKind:
    by_status = _BY_STATUS.get(status) or _by_class(status)
    by_name = _of_names(names)
    if by_name is not None and by_name not in {"bad_request", "server", "rate_limited"}:
        return by_name  # A general name says no more than the status does.
    return (_of_saying(said) if by_status == "bad_request" else None) or by_status


def _by_class(status: int) -> ModelErrorKind:
    if status >= 500:
        return "server"
    return (
        "bad_request" if status >= 400 else "garbage"
    )  # A redirect is not followed: it would take the key along.


def _of_names(names: tuple[str, ...]) -> ModelErrorKind | None:
    return next((_BY_NAME[name] for name in names if name in _BY_NAME), None)


def _of_saying(said: str | None) -> ModelErrorKind | None:
    return next((kind for pattern, kind in _SAYINGS if said and pattern.search(said)), None)


def _plain(text: str) -> str:
    """Keep a foreign text to one line of what can be printed."""
    return "".join(char if char.isprintable() else " " for char in text[: 4 * MESSAGE_CHARS_MAX]).strip()
