"""Head and tail of a text too long to show, with a note of what lies between.

Knows nothing of tools or results. Adding is linear in what is added; memory stays under twice the limit.
"""

from typing import Final

NOTE_BYTES_MAX: Final = 64
"""Room the note takes; the number in it has at most 20 digits."""


class Excerpt:
    """Takes text piece by piece, keeps its beginning and its end.

    Args:
        bytes_max: the most UTF-8 bytes `text` gives, note included; at least 128.
    """

    def __init__(self, bytes_max: int) -> None:
        assert bytes_max >= 2 * NOTE_BYTES_MAX
        self._bytes_max = bytes_max
        self._half = (bytes_max - NOTE_BYTES_MAX) // 2
        self._total = 0  # Bytes added so far.
        self._head = bytearray()  # The first `bytes_max` bytes: all, as long as nothing must be cut.
        self._tail = bytearray()  # What came after the head; its beginning is dropped now and then.

    @property
    def cut(self) -> bool:
        """Whether something is missing from `text`."""
        return self._total > self._bytes_max

    def add(self, text: str) -> None:
        """Append a piece."""
        data = text.encode("utf-8", "replace")
        self._total += len(data)
        room = self._bytes_max - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * self._bytes_max:
            del self._tail[: -self._bytes_max]

    def text(self) -> str:
        """Give all of it, or head, note and tail: at most `bytes_max` bytes."""
        if not self.cut:
            return self._head.decode("utf-8", "replace")
        head = self._head[: self._half].decode("utf-8", "ignore")
        tail = (self._head[-self._half :] + self._tail)[-self._half :].decode("utf-8", "ignore")
        left_out = self._total - 2 * self._half
        return f"{head}\n[… {left_out} bytes left out …]\n{tail}"


def excerpt(text: str, bytes_max: int) -> str:
    """Give `text`, or its head and tail with a note between, in at most `bytes_max` bytes."""
    whole = Excerpt(bytes_max)
    whole.add(text)
    return whole.text()


def sayable(text: str) -> str:
    """Replace lone surrogates, which a tool that decoded bytes loosely may give and no encoder takes."""
    if text.isascii():
        return text
    whole = text.encode("utf-8", "replace").decode()
    return text if whole == text else whole
