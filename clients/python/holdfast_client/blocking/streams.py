"""Events, runs and notifications, iterated from a thread."""

from typing import Self

from holdfast_client import aio
from holdfast_client.aio.event_tree import TreeEvent
from holdfast_client.blocking.iteration import Pieces
from holdfast_client.blocking.twin import twin, wait_for
from holdfast_client.core.run_result import RunResult
from holdfast_client.core.tail import AnyEvent
from holdfast_protocol.methods.prompt import SessionPromptResult


class EventStream(Pieces[AnyEvent]):
    """A session's events, from a cursor on. See `aio.EventStream`."""

    original: aio.EventStream

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    open = twin(aio.EventStream.open)

    @property
    def session_id(self) -> str:
        """Whose events."""
        return self.original.session_id

    @property
    def cursor(self) -> int:
        """The last seq that needs not be given again; begin here the next time."""
        return self._look(lambda: self._ready[0].seq - 1 if self._ready else self.original.cursor)

    @property
    def epoch(self) -> str | None:
        """Of the log; None until something was read."""
        return self.original.epoch

    @property
    def times_behind(self) -> int:
        """How often this reader was too slow for live events, and read the log."""
        return self.original.times_behind

    def close(self) -> None:
        """Let go of the session. Not closing does no harm."""
        self.portal.call(self.original.close)
        self._ready.clear()


class EventTree(Pieces[TreeEvent]):
    """The events of a session and its children. See `aio.EventTree`."""

    original: aio.EventTree

    def __enter__(self) -> Self:
        self.settle()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    settle = twin(aio.EventTree.settle)

    def close(self) -> None:
        """Let go of all sessions."""
        self.portal.call(self.original.close)
        self._ready.clear()


class Run(Pieces[AnyEvent]):
    """A prompt and the run it starts. Enter it to send the prompt. See `aio.Run`."""

    original: aio.Run

    def __enter__(self) -> Self:
        wait_for(self.portal, self.original.__aenter__)
        return self

    def __exit__(self, *_error: object) -> None:
        wait_for(self.portal, self.original.__aexit__)

    @property
    def admitted(self) -> SessionPromptResult | None:
        """The daemon's answer to the prompt; set once entered."""
        return self.original.admitted

    @property
    def session_id(self) -> str:
        """The session it runs in."""
        return self.original.session_id

    @property
    def prompt_id(self) -> str:
        """The prompt's id."""
        return self.original.prompt_id

    @property
    def run_id(self) -> str | None:
        """The run's id; None until the prompt started one."""
        return self.original.run_id

    def result(self) -> RunResult:
        """Wait for the end of the run, and give what it came to. A run that failed is a result too."""
        return wait_for(self.portal, self.original.result)


class NotificationStream(Pieces[aio.Notified]):
    """Notifications, from its making on. See `aio.NotificationStream`."""

    original: aio.NotificationStream

    def close(self) -> None:
        """Take no more."""
        self.portal.call(self.original.close)
