"""What keys do. Knows the person's wishes by name; `Wishes` carries them out."""

from collections.abc import Callable
from typing import Protocol

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent
from prompt_toolkit.keys import Keys

from holdfast_client.terminal.questions import Questions
from holdfast_protocol.events import Delivery


class Wishes(Protocol):
    """What a person can want. No method may raise or wait."""

    def submit(self, delivery: Delivery) -> None:
        """Send what was typed, or do it if it is a command."""

    def interrupt(self) -> None:
        """Cancel the run; the second time in a row leave."""

    def detach(self) -> None:
        """Leave; the session goes on."""

    def next_mode(self) -> None:
        """Change the mode to the next one."""

    def toggle_thinking(self) -> None:
        """Show or fold thinking."""

    def show_whole(self) -> None:
        """Show what the question in front is about, all of it."""


def bindings(wishes: Wishes, questions: Questions, buffer: Buffer) -> KeyBindings:
    """Bind the keys that `commands.KEYS` explains. What answers a question is typed, as any letter is."""
    keys = KeyBindings()
    is_empty = Condition(lambda: not buffer.text)
    _bind_line(keys, wishes, buffer)
    for key in (Keys.ControlC, Keys.SIGINT):
        _bind(keys, key, wishes.interrupt)
    _bind(keys, Keys.ControlSquareClose, wishes.detach)
    _bind(keys, Keys.ControlT, wishes.toggle_thinking)
    _bind(keys, Keys.ControlO, wishes.show_whole)
    _bind(keys, Keys.BackTab, wishes.next_mode)

    @keys.add(Keys.ControlD, filter=is_empty)
    def leave(_event: KeyPressEvent) -> None:
        wishes.detach()

    @keys.add(Keys.Escape, filter=Condition(lambda: questions.wants_words))
    def back(_event: KeyPressEvent) -> None:
        if questions.back():
            buffer.reset()

    return keys


def _bind(keys: KeyBindings, key: Keys, wish: Callable[[], None]) -> None:
    @keys.add(key, eager=True)  # Some begin a sequence of Emacs, which would be waited for.
    def act(_event: KeyPressEvent) -> None:
        wish()


def _bind_line(keys: KeyBindings, wishes: Wishes, buffer: Buffer) -> None:
    @keys.add(Keys.Enter)
    def send(_event: KeyPressEvent) -> None:
        if buffer.complete_state is not None and buffer.complete_state.current_completion is not None:
            buffer.complete_state = None  # It stands in the line; a second Enter sends it.
        else:
            wishes.submit("queue")

    @keys.add(Keys.ControlS)
    def steer(_event: KeyPressEvent) -> None:
        wishes.submit("steer")

    @keys.add(Keys.Escape, Keys.Enter)
    @keys.add(Keys.ControlJ)
    def new_line(_event: KeyPressEvent) -> None:
        buffer.insert_text("\n")
