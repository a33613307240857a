"""A tool call's input, as a model wrote it, for the next request. Pure."""

import msgspec

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_object(input_json: str) -> bool:
    """Whether it is a whole JSON object."""
    try:
        _OBJECT.decode(input_json)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def input_object(input_json: str) -> bytes:
    """Give the input as a JSON object, in the model's own bytes if it is one; nothing is `{}`."""
    if is_object(input_json):
        return input_json.encode()
    return b"{}" if not input_json.strip() else msgspec.json.encode({"invalid_json": input_json})
