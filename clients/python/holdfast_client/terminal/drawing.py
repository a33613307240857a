"""Items as lines of a terminal, of a given width. Knows no events and writes nowhere.

Each line is at most `width` columns wide, wide characters counted as two, and has no blanks at its end: a
terminal that is made narrower later does not break it where nothing stands.
"""

from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Final

from rich.cells import chop_cells
from rich.color import ColorSystem
from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from rich.theme import Theme

from holdfast_client.shell import figures
from holdfast_client.shell.plain import one_line, plain
from holdfast_client.terminal.glyphs import UNICODE, Glyphs
from holdfast_client.terminal.items import (
    Asked,
    Called,
    Change,
    Closed,
    Item,
    Noted,
    Planned,
    Proposed,
    Said,
    Thought,
    Told,
)
from holdfast_client.terminal.markdown import TerminalMarkdown
from holdfast_client.terminal.status import elapsed

LIVE_OUTPUT_LINES: Final = 4
"""Of a call that goes on: enough to see that it does."""

OUTPUT_LINES_MAX: Final = 8
OUTPUT_HEAD_LINES: Final = 2
PROPOSED_ROWS_MAX: Final = 200
"""Of what somebody is asked about; a key shows the rest."""

DONE_DIFF_LINES_MAX: Final = 24
PROMPT_ROWS_MAX: Final = 20
WIDTH_MIN: Final = 10

_LINE_CHARS_MAX: Final = 400
_TAB: Final = 4

_QUIET_KINDS: Final = frozenset({"read", "search", "think"})
"""What calls of these kinds find is the model's matter: a count of lines is enough."""

_TONES: Final = {"dim": "dim", "plain": "", "bold": "bold", "warning": "yellow", "error": "red"}
_DIFF_STYLES: Final = {"+": "green", "-": "red", "@": "cyan", "\\": "yellow"}
_THEME: Final = Theme({"markdown.code": "cyan", "markdown.code_block": "cyan"})
_ROOMY: Final = (Asked, Said, Thought, Proposed, Planned, Told, Closed)


class Drawing:
    """Draws items.

    Args:
        width: of the terminal, in columns.
        color: whether colours are used; bold and dim are in any case, unless `styled` is false.
        styled: whether there are escape sequences at all.
        glyphs: the signs that can be shown.
    """

    def __init__(
        self, width: int, *, color: bool = True, styled: bool = True, glyphs: Glyphs = UNICODE
    ) -> None:
        self.width = max(WIDTH_MIN, width)
        self.glyphs = glyphs
        self.unfolded = False  # Whether thinking is shown; changed by whoever owns this.
        self._color = color
        self._styled = styled
        self._console = Console(
            file=StringIO(),
            width=self.width,
            force_terminal=True,
            color_system="standard",
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
            theme=_THEME,
            _environ={},  # What it says about colours and sizes was decided by whoever made this.
        )

    def page(self, items: Sequence[Item], after: Item | None = None, now: int = 0) -> list[str]:
        """Give the lines of items that follow each other, with a blank line where one helps the eye.

        Args:
            items: in reading order.
            after: what stands above them; None: nothing does.
            now: Unix ms; how long a live item has gone on.
        """
        lines: list[str] = []
        for item in items:
            drawn = self.item(item, now)
            if drawn and after is not None and _gap(after, item):
                lines.append("")
            lines += drawn
            after = item if drawn else after
        return lines

    def item(self, item: Item, now: int = 0) -> list[str]:
        """Give the lines of one item."""
        match item:
            case Asked():
                return self._asked(item)
            case Said():
                return self._said(item)
            case Thought():
                return self._thought(item, now)
            case Proposed():
                return self._proposed(item)
            case Called():
                return self._called(item, now)
            case Planned():
                return self._planned(item)
            case Noted():
                return self._hung("  ", self._text(item.text, _TONES[item.tone]))
            case Told():
                return self._told(item)
            case Closed():
                sign = self.glyphs.done if item.good else self.glyphs.failed
                return self._hung(f"{sign} ", self._text(item.text, "dim" if item.good else "yellow"))

    # Items --------------------------------------------------------------------------------------------

    def _asked(self, item: Asked) -> list[str]:
        text = item.text.strip("\n")
        sign = f"{self.glyphs.prompt}{self.glyphs.prompt}" if item.steered else self.glyphs.prompt
        rows = self._hung(f"{sign} ", self._text(text, "bold"), "bold cyan")
        if len(rows) > PROMPT_ROWS_MAX:
            more = f"{self.glyphs.more} {len(rows) - PROMPT_ROWS_MAX} more lines"
            rows = [*rows[:PROMPT_ROWS_MAX], *self._cut(" " * (len(sign) + 1), more, "dim")]
        return rows

    def _said(self, item: Said) -> list[str]:
        lines = self._lines(TerminalMarkdown(item.markdown)) if item.markdown else []
        if item.cut:
            lines += self._hung("  ", self._text(f"{self.glyphs.more} cut off here", "dim"))
        return _trimmed(lines)

    def _told(self, item: Told) -> list[str]:
        lines = self._hung("  ", self._text(item.command, "bold"))
        for text in item.lines:
            lines += self._hung("  ", self._text(plain(text), "")) or [""]
        return lines

    def _thought(self, item: Thought, now: int) -> list[str]:
        head = f"Thinking{self.glyphs.more} {elapsed(now - item.started_at) if now else ''}".rstrip()
        if item.duration_ms is not None:
            head = f"Thought for {figures.duration(item.duration_ms)}"
        lines = self._hung(f"{self.glyphs.thought} ", self._text(head, "dim italic"))
        if self.unfolded:
            lines += self._hung("  ", self._text(item.text.strip(), "dim italic"))
        return lines

    def _called(self, item: Called, now: int) -> list[str]:
        if not item.ended:
            return self._running(item, now)
        sign, style = (self.glyphs.done, "green") if item.failure is None else (self.glyphs.failed, "red")
        lines = self._hung(f"{sign} ", Text.assemble(item.title, (self._outcome(item), "dim")), style)
        if item.failure is not None:
            lines += self._hung("    ", self._text(item.failure, "red"))
        if item.kind not in _QUIET_KINDS and not (item.changes or item.added or item.removed):
            lines += self._output(item.output, OUTPUT_LINES_MAX)
        for change in item.changes:
            lines += self._diff(change, DONE_DIFF_LINES_MAX)
        return lines

    def _running(self, item: Called, now: int) -> list[str]:
        took = f"  {elapsed(now - item.started_at)}" if now else ""
        title = Text.assemble(item.title, (took, "dim"))
        lines = self._hung(f"{self.glyphs.call} ", title, "yellow")
        return lines + self._output(item.output, LIVE_OUTPUT_LINES, head=0)

    def _outcome(self, item: Called) -> str:
        parts: list[str] = []
        if item.added or item.removed:
            parts.append(f"+{item.added} -{item.removed}")
        elif item.kind in _QUIET_KINDS and item.failure is None:
            count = len(item.output.splitlines())
            parts.append("1 line" if count == 1 else f"{count} lines")
        if item.duration_ms is not None:
            parts.append(figures.duration(item.duration_ms))
        return "".join(f"  {part}" for part in parts)

    def _output(self, output: str, lines_max: int, head: int = OUTPUT_HEAD_LINES) -> list[str]:
        """Give the beginning and the end of what a tool wrote, a line of it in a line of ours."""
        whole = [_as_shown(line) for line in output.strip("\n").split("\n")] if output.strip() else []
        shown = whole
        if len(whole) > lines_max:
            left = len(whole) - lines_max + 1
            more = f"{self.glyphs.more} {left} more lines"
            shown = [*whole[:head], more, *whole[len(whole) - lines_max + 1 + head :]]
            if head == 0:
                shown = whole[-lines_max:]
        return [line for text in shown for line in self._cut("    ", text, "dim")]

    def _planned(self, item: Planned) -> list[str]:
        signs = {"completed": self.glyphs.done, "in_progress": self.glyphs.active}
        styles = {"completed": "dim", "in_progress": "bold"}
        done = sum(entry.status == "completed" for entry in item.entries)
        lines = self._hung("  ", self._text(f"Plan {done}/{len(item.entries)}", "bold"))
        for entry in item.entries:
            sign = signs.get(entry.status, self.glyphs.pending)
            text = self._text(one_line(entry.content, _LINE_CHARS_MAX), styles.get(entry.status, ""))
            lines += self._hung(f"  {sign} ", text, "green" if entry.status == "completed" else "")
        return lines

    def _proposed(self, item: Proposed) -> list[str]:
        """Give a proposal. Nothing in it is cut at the edge: what is not seen is not to be allowed."""
        change = item.change
        lines = [] if change is None else change.lines
        head = Text(item.title, style="bold", overflow="fold")
        if change is not None:
            removed = "?" if change.removed is None else change.removed
            head = Text.assemble(head, (f"  +{change.added} -{removed}", "dim"))
        rows = [] if item.continues else self._hung("  ", head)
        if item.hides:
            rows += self._hung(
                "    ", self._text("(<ESC> and the like stand for what cannot be seen)", "red")
            )
        if change is None:
            parts = [(line, "") for line in item.text.split("\n")]
        else:
            parts = [(line, _DIFF_STYLES.get(line[:1], "")) for line in _with_places(change, lines)]
        if parts and not parts[-1][0] and not item.whole:
            parts.pop()  # The last line has an end.
        return rows + self._folded_within(parts, 0 if change is None else change.more, whole=item.whole)

    def _folded_within(self, parts: list[tuple[str, str]], more: int, *, whole: bool) -> list[str]:
        rows: list[str] = []
        for number, (text, style) in enumerate(parts):
            is_cut = not whole and len(text) > PROPOSED_ROWS_MAX * self.width
            folded = self._folded("    ", text[: PROPOSED_ROWS_MAX * self.width] if is_cut else text, style)
            if is_cut or (not whole and len(rows) + len(folded) > PROPOSED_ROWS_MAX):
                rows += folded[: PROPOSED_ROWS_MAX - len(rows)]
                more += len(parts) - number
                break
            rows += folded
        if more:
            left = f"{self.glyphs.more} {more} more lines; Ctrl-O shows them"
            rows += self._hung("    ", self._text(left, "yellow"))
        return rows

    def _folded(self, indent: str, text: str, style: str) -> list[str]:
        """Give a line in as many rows as it takes, every blank of it; further rows begin with a sign."""
        further = f"{self.glyphs.more:>{len(indent) - 1}} "
        pieces = chop_cells(text.expandtabs(_TAB), max(2, self.width - len(indent))) or [""]
        drawn = Style.parse(style or "none")
        dim = Style.parse("dim")
        return [
            self._line([Segment(further, dim) if number else Segment(indent), Segment(piece, drawn)])
            for number, piece in enumerate(pieces)
        ]

    def _diff(self, change: Change, lines_max: int) -> list[str]:
        lines: list[str] = []
        for line in _with_places(change, change.lines[:lines_max]):
            lines += self._cut("    ", line.expandtabs(_TAB), _DIFF_STYLES.get(line[:1], ""))
        left = max(0, len(change.lines) - lines_max) + change.more
        if left:
            lines += self._cut("    ", f"{self.glyphs.more} {left} more lines", "dim")
        return lines

    # Lines --------------------------------------------------------------------------------------------

    def _text(self, text: str, style: str) -> Text:
        return Text(text.expandtabs(_TAB), style=style, overflow="fold")

    def _hung(self, first: str, body: Text, sign_style: str = "") -> list[str]:
        """Give a text wrapped behind a sign, which the further lines are indented to."""
        width = Text(first).cell_len
        inner = self._segments(body, self.width - width)
        sign = Segment(first, Style.parse(sign_style or "none"))
        blank = Segment(" " * width)
        return [self._line([blank if number else sign, *line]) for number, line in enumerate(inner)]

    def _cut(self, indent: str, text: str, style: str) -> list[str]:
        """Give one line, cut at the terminal's edge: columns of output and diffs stay where they are."""
        body = Text(indent + text, style=style, overflow="ellipsis", no_wrap=True)
        return [self._line(line) for line in self._segments(body, self.width)]

    def _lines(self, renderable: RenderableType) -> list[str]:
        return [self._line(line) for line in self._segments(renderable, self.width)]

    def _segments(self, renderable: RenderableType, width: int) -> list[list[Segment]]:
        options = self._console.options.update(width=max(1, width))
        return self._console.render_lines(renderable, options, pad=False)

    def _line(self, segments: Iterable[Segment]) -> str:
        shown = [(segment.text, segment.style or Style.null()) for segment in segments if not segment.control]
        while shown and not (shown[-1][0].strip() or _is_painted(shown[-1][1])):
            shown.pop()
        if shown and not _is_painted(shown[-1][1]):
            shown[-1] = (shown[-1][0].rstrip(), shown[-1][1])
        return "".join(self._styled_text(text, style) for text, style in shown)

    def _styled_text(self, text: str, style: Style) -> str:
        if not self._styled:
            return text
        style = style if self._color else style.without_color
        return style.render(text, color_system=ColorSystem.STANDARD)


def _is_painted(style: Style) -> bool:
    """Tell whether a blank in this style can be seen."""
    has_ground = style.bgcolor is not None and not style.bgcolor.is_default
    return has_ground or bool(style.reverse or style.underline)


def _as_shown(line: str) -> str:
    """Give an output line as a terminal leaves it: what a carriage return went back over is gone."""
    return plain(line.rstrip("\r").rpartition("\r")[2][:_LINE_CHARS_MAX]).expandtabs(_TAB)


def _trimmed(lines: list[str]) -> list[str]:
    start, end = 0, len(lines)
    while start < end and not lines[start]:
        start += 1
    while end > start and not lines[end - 1]:
        end -= 1
    return lines[start:end]


def _with_places(change: Change, lines: list[str]) -> list[str]:
    """Leave out where in the file it stands, if that is not known."""
    return [line for line in lines if not (change.guessed and line.startswith("@"))]


def _gap(before: Item, item: Item) -> bool:
    if isinstance(item, Proposed) and item.continues:
        return False
    if isinstance(before, Closed):
        return True
    return isinstance(item, _ROOMY) or type(before) is not type(item)
