"""The environment a session's tools get: from the client that created it, by an allow-list."""

from collections.abc import Mapping
from typing import Final

import msgspec

from holdfast_protocol.errors import InvalidParams

ALLOWED: Final = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TERM", "TMPDIR", "TZ"}
)
"""Nothing else is kept: a deny-list would miss the next secret."""

_FALLBACK: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def allowed_environment(env: Mapping[str, str], bytes_max: int) -> dict[str, str]:
    """Give what tools may see of a client's environment; never anything of the daemon's own.

    Raises:
        InvalidParams: it is over `bytes_max`, or a value has a NUL.
    """
    kept = {name: value for name, value in env.items() if name in ALLOWED}
    if any("\0" in value for value in kept.values()):
        raise InvalidParams("An environment value has a NUL.", path="$.env")
    if len(msgspec.json.encode(kept)) > bytes_max:
        raise InvalidParams(
            f"The environment is at most {bytes_max} bytes.",
            path="$.env",
            limit="env_bytes_max",
            limit_value=bytes_max,
        )
    return {**_FALLBACK, **kept}
