"""What can be said of a key without sending it. Pure; a key is in no message."""


def complaint(variable: str, key: str) -> str | None:
    """Say why a key cannot be sent, by the name of its variable; None if it can.

    Args:
        variable: where it is from.
        key: without white space around it; empty if the variable is not set.
    """
    if not key:
        return f"{variable} is not set."
    if not (key.isascii() and key.isprintable()) or " " in key:
        return f"{variable} has characters that no key has."
    return None
