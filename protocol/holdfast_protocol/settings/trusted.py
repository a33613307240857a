"""Whether a configuration file may be used: it can name code to run, so nobody else may have written it."""

import stat

from holdfast_protocol.settings.resolve import BadSettings, File, Problem

FILE_BYTES_MAX = 256 * 1024
"""Four bytes to each of the characters a document may have."""


def trusted(path: str, content: bytes, mode: int, owner: int, user: int) -> File:
    """Give a file's text.

    Args:
        path: where it is, as messages name it.
        content: its first `FILE_BYTES_MAX` bytes and one more, if there are so many.
        mode: as `st_mode`.
        owner: its owner's id; root's files are trusted too.
        user: the id of whoever reads it.

    Raises:
        BadSettings: it is no file, others may write it, it is too long, or not UTF-8.
    """
    if not stat.S_ISREG(mode):
        raise BadSettings([Problem(path, "", "not a file")])
    if owner not in (user, 0) or mode & 0o022:
        raise BadSettings([Problem(path, "", "must be yours, and nobody else may write it (mode 0600)")])
    if len(content) > FILE_BYTES_MAX:
        raise BadSettings([Problem(path, "", f"longer than {FILE_BYTES_MAX} bytes")])
    try:
        return File(path, content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadSettings([Problem(f"{path}:{line}", "", "not UTF-8")]) from None
