"""What keys are wished for, and that none is waited for."""

import anyio
import pytest
from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.layout import BufferControl, Layout, Window
from prompt_toolkit.output import DummyOutput

from holdfast_client.terminal.keys import bindings
from holdfast_client.terminal.questions import Questions
from holdfast_protocol.events import Delivery


class Person:
    """Notes the first wish and ends the application that it was made in."""

    def __init__(self) -> None:
        self.wished = ""
        self.application: Application[None] | None = None

    def submit(self, delivery: Delivery) -> None:
        self._wish(f"submit {delivery}")

    def interrupt(self) -> None:
        self._wish("interrupt")

    def detach(self) -> None:
        self._wish("detach")

    def next_mode(self) -> None:
        self._wish("next_mode")

    def toggle_thinking(self) -> None:
        self._wish("toggle_thinking")

    def show_whole(self) -> None:
        self._wish("show_whole")

    def _wish(self, wish: str) -> None:
        self.wished = self.wished or wish
        if self.application is not None and not self.application.is_done:
            self.application.exit()


@pytest.mark.parametrize(
    ("key", "wish"),
    [
        ("\x1d", "detach"),
        ("\x04", "detach"),
        ("\x03", "interrupt"),
        ("\x0f", "show_whole"),
        ("\x13", "submit steer"),
        ("\x14", "toggle_thinking"),
        ("\r", "submit queue"),
        ("\x1b[Z", "next_mode"),
    ],
)
async def test_a_key_acts_at_once_though_it_may_begin_a_sequence(key: str, wish: str) -> None:
    person, buffer = Person(), Buffer()
    with create_pipe_input() as keyboard:
        person.application = Application(
            layout=Layout(Window(BufferControl(buffer))),
            key_bindings=bindings(person, Questions(lambda: 0.0), buffer),
            input=keyboard,
            output=DummyOutput(),
        )
        person.application.timeoutlen = None  # A sequence that has begun is waited for without end.
        keyboard.send_text(key)
        with anyio.fail_after(10):
            await person.application.run_async(handle_sigint=False, set_exception_handler=False)
    assert person.wished == wish
