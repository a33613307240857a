"""Bytes of a `raw` step: what no JSON library would write. Pure."""

from typing import Any, Final

_PAD: Final = b"$PAD"


def raw_body(parts: Any, pad_to: int | None) -> bytes:
    """Give the bytes of a text, or of a list of texts, `{hex: …}` and `{repeat: TEXT, times: N}`.

    Args:
        parts: as in the file.
        pad_to: how long the body shall be; `$PAD` in it gives way to as many `x` as that takes.
    """
    body = b"".join(_part(part) for part in (parts if isinstance(parts, list) else [parts]))
    if pad_to is None:
        return body
    assert body.count(_PAD) == 1, "a body that is padded says where"
    return body.replace(_PAD, b"x" * (pad_to - len(body) + len(_PAD)))


def _part(part: Any) -> bytes:
    match part:
        case str():
            return part.encode()
        case {"hex": str(digits)}:
            return bytes.fromhex(digits)
        case {"repeat": str(text), "times": int(times)}:
            return text.encode() * times
        case _:
            raise AssertionError(f"no part of a body: {part!r}")
