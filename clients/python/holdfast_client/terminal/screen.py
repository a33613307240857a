"""The part of the terminal that is redrawn: an input line with what belongs to it, at the bottom.

What is printed above it stays where the terminal puts it, in the scrollback. Printing takes the redrawn part
away, writes, and draws it again, in one write to the terminal, so that nothing flickers.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final, TextIO

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples, merge_formatted_text, to_formatted_text
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindingsBase
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.layout.containers import VerticalAlign
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Style

from holdfast_client.terminal.status import Fragments

INPUT_ROWS_MAX: Final = 6
MENU_ROWS_MAX: Final = 6
REDRAW_INTERVAL_S: Final = 0.04
"""No more than 25 pictures a second: enough for text that streams, little enough for a slow line."""

_HOME_AND_CLEAR: Final = "\x1b[H\x1b[J"

STYLE: Final = Style.from_dict(
    {
        "dim": "fg:ansibrightblack",
        "warning": "fg:ansiyellow",
        "spinner": "fg:ansicyan",
        "question": "bold",
        "key": "bold fg:ansicyan",
        "model": "fg:ansicyan",
        "mode": "fg:ansimagenta",
        "prompt": "bold fg:ansicyan",
        "completion-menu": "noreverse",
        "completion-menu.completion": "noreverse fg:default bg:default",
        "completion-menu.completion.current": "reverse fg:default bg:default",
        "completion-menu.meta.completion": "noreverse fg:ansibrightblack bg:default",
        "completion-menu.meta.completion.current": "noreverse fg:ansibrightblack bg:default",
        "scrollbar.background": "",
        "scrollbar.button": "reverse",
    }
)

ScreenLine = str | Fragments
"""A line with escape sequences of ours, or in fragments."""


class HeldOutput(Vt100_Output):
    """Keeps what is written until it is let go: several changes reach the terminal as one.

    A terminal that was closed takes no more, which is no error: the keyboard says that it is over.
    """

    held = False

    def flush(self) -> None:
        """Write, unless it is held."""
        if not self.held:
            with contextlib.suppress(OSError):
                super().flush()


def open_output(stream: TextIO, term: str) -> HeldOutput:
    """Give the terminal's output. It is asked for nothing: answers over a slow line look like keys."""
    output = HeldOutput.from_pty(stream, term=term)
    assert isinstance(output, HeldOutput)
    output.enable_cpr = False
    return output


class _App(Application[Any]):
    """An application whose owner draws what a new size of the terminal left broken."""

    resized: Callable[[], None] | None = None

    def _on_resize(self) -> None:
        if self.resized is not None:
            self.resized()


class Screen:
    """The input line and what is around it.

    Args:
        stream: the terminal.
        keyboard: where keys come from.
        buffer: what is typed.
        keys: what keys do.
        above: gives the lines above the input line, at most so many.
        label: gives what stands before the input.
        below: gives the line below the input.
        color: whether colours are used.
        on_resize: called when the terminal has another size.
    """

    def __init__(
        self,
        output: HeldOutput,
        keyboard: Input,
        buffer: Buffer,
        keys: KeyBindingsBase,
        *,
        above: Callable[[int], Sequence[ScreenLine]],
        label: Callable[[], Fragments],
        below: Callable[[], Fragments],
        color: bool,
        on_resize: Callable[[], None],
    ) -> None:
        self.output = output
        self._above = above
        self._lines: Sequence[ScreenLine] = ()
        self._label = label
        self._on_resize = on_resize
        self.app: _App = _App(
            layout=self._layout(buffer, below),
            key_bindings=keys,
            style=STYLE,
            include_default_pygments_style=False,
            color_depth=ColorDepth.DEPTH_4_BIT if color else ColorDepth.DEPTH_1_BIT,
            input=keyboard,
            output=output,
            erase_when_done=True,
            min_redraw_interval=REDRAW_INTERVAL_S,
            before_render=self._before_render,
            after_render=self._after_render,
        )
        self.app.resized = self._resized
        self.app.ttimeoutlen = 0.1

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return self.output.get_size().columns

    @property
    def rows(self) -> int:
        """Rows of the terminal."""
        return self.output.get_size().rows

    async def run(self) -> Any:
        """Show it until `leave`; give what that was given.

        Raises:
            EOFError: the terminal was closed.
        """
        return await self.app.run_async(handle_sigint=True, set_exception_handler=False)

    def leave(self, result: Any) -> None:
        """End `run`."""
        if self.app.is_running and not self.app.is_done:
            self.app.exit(result=result)

    def refresh(self) -> None:
        """Draw it anew, soon."""
        self.app.invalidate()

    def print(self, lines: Sequence[str]) -> None:
        """Put lines, each no wider than the terminal, above; they stay."""
        if not lines:
            return
        text = "".join(f"{line}\r\n" for line in lines)
        if self.app.is_running and not self.app.is_done:
            self.output.held = True  # Until it was drawn again.
            self.app.renderer.erase()
            self.output.write_raw(text)
            self.app.invalidate()
        else:
            self.output.write_raw(text)
            self.output.flush()

    def repaint(self, lines: Sequence[str]) -> None:
        """Clear the visible part of the terminal and begin it with these lines."""
        self.output.held = True
        self.output.write_raw(_HOME_AND_CLEAR)
        self.app.renderer.reset()
        self.output.write_raw("".join(f"{line}\r\n" for line in lines))
        self.app.invalidate()

    def _resized(self) -> None:
        self._on_resize()
        self.app.invalidate()

    def _before_render(self, _app: Any) -> None:
        rows = self.rows - INPUT_ROWS_MAX - 1 if self.rows > 3 * INPUT_ROWS_MAX else self.rows - 4
        self._lines = self._above(max(0, rows))

    def _after_render(self, _app: Any) -> None:
        self.output.held = False
        self.output.flush()

    def _layout(self, buffer: Buffer, below: Callable[[], Fragments]) -> Layout:
        above = Window(
            FormattedTextControl(self._above_text),
            height=lambda: Dimension.exact(len(self._lines)),
            wrap_lines=False,
        )
        typed = Window(
            BufferControl(buffer),
            height=Dimension(min=1, max=INPUT_ROWS_MAX),
            dont_extend_height=True,
            wrap_lines=True,
            get_line_prefix=self._prefix,
        )
        footer = Window(FormattedTextControl(lambda: [*below()]), height=1, wrap_lines=False)
        body = HSplit(
            [
                ConditionalContainer(above, Condition(lambda: bool(self._lines))),
                typed,
                CompletionsMenu(max_height=MENU_ROWS_MAX),
                footer,
            ],
            align=VerticalAlign.TOP,
        )
        return Layout(body, focused_element=typed)

    def _prefix(self, line: int, wrapped: int) -> StyleAndTextTuples:
        label = self._label()
        if line == 0 and wrapped == 0:
            return list(label)
        return [("", "  ")]

    def _above_text(self) -> StyleAndTextTuples:
        parts: list[Any] = []
        for number, line in enumerate(self._lines):
            parts.append("\n" if number else "")
            parts.append(ANSI(line) if isinstance(line, str) else list(line))
        return to_formatted_text(merge_formatted_text(parts))
