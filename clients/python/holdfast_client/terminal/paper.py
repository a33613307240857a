"""What was printed above the input line. Draws items in the terminal's width, and keeps the last of them.

Lines that were printed belong to the terminal. When it gets another width, those it still shows are drawn
anew from the items; what has gone into its scrollback stays as it was.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from holdfast_client.terminal.drawing import Drawing
from holdfast_client.terminal.glyphs import Glyphs
from holdfast_client.terminal.items import Item
from holdfast_client.terminal.screen import Screen

KEPT_ITEMS_MAX: Final = 200
"""More than a screen shows."""

_ROWS_BELOW: Final = 6  # Left for the input line and what belongs to it.


class Paper:
    """One owner; others print on it.

    Args:
        screen: the terminal.
        color: whether colours are used.
        glyphs: the signs it can show.
    """

    def __init__(self, screen: Screen, *, color: bool, glyphs: Glyphs) -> None:
        self._screen = screen
        self._color = color
        self._glyphs = glyphs
        self._kept: deque[Item] = deque(maxlen=KEPT_ITEMS_MAX)
        self._drawing = Drawing(screen.width, color=color, glyphs=glyphs)

    def print(self, items: Sequence[Item]) -> None:
        """Put items below what is there."""
        lines = self._fitting().page(items, self._last)
        self._kept.extend(items)
        self._screen.print(lines)

    def live(self, items: Sequence[Item], now: int) -> list[str]:
        """Give the lines of items that still grow, as they would follow."""
        return self._fitting().page(items, self._last, now) if items else []

    def repaint(self) -> None:
        """Draw what the terminal shows anew."""
        rows = max(1, self._screen.rows - _ROWS_BELOW)
        drawing = self._fitting()
        shown: list[Item] = []
        drawn = 0
        for item in reversed(self._kept):
            shown.insert(0, item)
            drawn += len(drawing.item(item))
            if drawn >= rows:
                break
        self._screen.repaint(drawing.page(shown)[-rows:])

    @property
    def is_unfolded(self) -> bool:
        """Whether thinking is shown."""
        return self._drawing.unfolded

    def unfold(self, *, unfolded: bool) -> None:
        """Show thinking from now on, or fold it."""
        self._drawing.unfolded = unfolded

    @property
    def _last(self) -> Item | None:
        return self._kept[-1] if self._kept else None

    def _fitting(self) -> Drawing:
        width = self._screen.width
        if width != self._drawing.width:
            unfolded = self._drawing.unfolded
            self._drawing = Drawing(width, color=self._color, glyphs=self._glyphs)
            self._drawing.unfolded = unfolded
        return self._drawing
