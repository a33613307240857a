"""Tokens: who may speak on a socket, and as what."""

import hashlib
import hmac
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from secrets import token_urlsafe

from holdfast_protocol.capabilities import Role
from holdfast_protocol.errors import AuthRequired

_TOKEN_BYTES = 32


def load_owner_token(path: Path) -> str:
    """Give the owner's token, made at the first start and kept, so that editors can reconnect. Blocks."""
    try:
        token = path.read_text(encoding="ascii").strip()
        if token:
            return token
    except (FileNotFoundError, UnicodeDecodeError):  # None yet, or a file that was damaged.
        pass
    token = token_urlsafe(_TOKEN_BYTES)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    return token


class Tokens:
    """The tokens that are valid; only their digests are kept.

    Args:
        owner: the owner's token.
        failures_max: wrong tokens in `window_s` after which wrong ones are answered with a wait.
        window_s: how long a failure counts.
        clock: monotonic seconds.
    """

    def __init__(self, owner: str, *, failures_max: int, window_s: float, clock: Callable[[], float]) -> None:
        self._roles: dict[bytes, Role] = {_digest(owner): "controller"}
        self._failures: deque[float] = deque(maxlen=failures_max)
        self._window_s = window_s
        self._clock = clock

    def role_of(self, token: str | None) -> Role:
        """Give a token's role. A right token is let in however many wrong ones came before.

        Raises:
            AuthRequired: it is missing or wrong.
        """
        presented = _digest(token or "")
        found: Role | None = None
        for digest, role in self._roles.items():  # All of them, so that time tells nothing.
            if hmac.compare_digest(digest, presented):
                found = role
        if found is not None:
            return found
        now = self._clock()
        full = len(self._failures) == self._failures.maxlen
        wait_s = self._failures[0] + self._window_s - now if full else 0
        if wait_s <= 0:
            self._failures.append(now)
            raise AuthRequired("The token is missing or wrong.", resource="token")
        raise AuthRequired(
            "Too many wrong tokens.",
            resource="token",
            limit="auth_failures_max",
            limit_value=self._failures.maxlen,
            retry_after_ms=int(wait_s * 1000),
        )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
