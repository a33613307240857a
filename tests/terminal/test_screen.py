"""What reaches the terminal, and in how many pieces."""

import os
from collections.abc import Iterator

import anyio
import pytest
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.key_binding import KeyBindings

from holdfast_client.terminal.screen import Screen, open_output


class Terminal:
    """A terminal of 80 columns that notes each write."""

    encoding = "utf-8"

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.buffer = self
        self.writes: list[str] = []
        self.is_closed = False

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        if self.is_closed:
            raise OSError(5, "Input/output error")
        self.writes.append(data.decode())
        return len(data)

    def flush(self) -> None:
        pass


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    outer, inner = os.openpty()
    yield Terminal(inner)
    os.close(inner)
    os.close(outer)


async def drawn(screen: Screen) -> None:
    """Wait until it was drawn again."""
    done = anyio.Event()

    def tell(_app: object) -> None:
        done.set()

    screen.app.after_render += tell
    screen.refresh()
    await done.wait()
    screen.app.after_render -= tell


async def play(terminal: Terminal, act) -> None:
    """Show a screen, act, and take it away."""
    with create_pipe_input() as keyboard:
        screen = Screen(
            open_output(terminal, "xterm"),  # pyright: ignore[reportArgumentType] - as much of one as is used
            keyboard,
            Buffer(),
            KeyBindings(),
            above=lambda rows: ["\x1b[1mlive line\x1b[0m"][:rows],
            label=lambda: [("", "> ")],
            below=lambda: [("", "the footer")],
            color=True,
            on_resize=lambda: None,
        )
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(screen.run)
                await drawn(screen)
                await act(screen)
                screen.leave(None)


async def test_printing_takes_away_and_draws_again_in_one_write(terminal):
    async def act(screen: Screen) -> None:
        terminal.writes.clear()
        screen.print(["settled one"])
        screen.print(["settled two"])
        assert terminal.writes == []
        await drawn(screen)
        (write,) = [text for text in terminal.writes if text]
        parts = ("\x1b[J", "settled one\r\n", "settled two\r\n", "live line", "the footer")
        assert [write.count(part) for part in parts[1:]] == [1, 1, 1, 1]
        assert sorted(map(write.index, parts)) == list(map(write.index, parts))

    await play(terminal, act)


async def test_nothing_is_asked_of_the_terminal(terminal):
    async def act(screen: Screen) -> None:
        await drawn(screen)

    await play(terminal, act)
    assert "\x1b[6n" not in "".join(terminal.writes)


async def test_at_the_end_the_redrawn_part_is_taken_away(terminal):
    async def act(_screen: Screen) -> None:
        terminal.writes.clear()

    await play(terminal, act)
    written = "".join(terminal.writes)
    assert "\x1b[J" in written
    assert "the footer" not in written


async def test_a_terminal_that_was_closed_is_no_error(terminal):
    async def act(screen: Screen) -> None:
        terminal.is_closed = True
        screen.print(["nobody sees this"])
        await drawn(screen)

    await play(terminal, act)
    assert "nobody" not in "".join(terminal.writes)
