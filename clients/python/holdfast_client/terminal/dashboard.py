"""What is drawn around the input line now: reads the state of a visit, changes nothing."""

import time
from collections.abc import Callable
from typing import Protocol

from holdfast_client.terminal import status
from holdfast_client.terminal.glyphs import Glyphs
from holdfast_client.terminal.paper import Paper
from holdfast_client.terminal.questions import Questions
from holdfast_client.terminal.screen import ScreenLine
from holdfast_client.terminal.status import Activity, Fragments
from holdfast_client.terminal.transcript import Transcript
from holdfast_protocol.view import View


class State(Protocol):
    """What a visit knows beside the session's events."""

    @property
    def view(self) -> View:
        """The session's present state."""
        ...

    @property
    def transcript(self) -> Transcript:
        """What a person reads."""
        ...

    @property
    def cost(self) -> float | None:
        """Of the session, if it is known."""
        ...

    @property
    def cancelling(self) -> str | None:
        """The run that was told to stop."""
        ...

    @property
    def unsent(self) -> int:
        """Prompts that no daemon has taken yet."""
        ...

    @property
    def hint(self) -> str:
        """What a key would do now."""
        ...


class Dashboard:
    """Draws a state.

    Args:
        state: of the visit.
        questions: that wait.
        glyphs: the signs that can be shown.
        is_connected: whether the daemon answers.
    """

    def __init__(
        self, state: State, questions: Questions, glyphs: Glyphs, is_connected: Callable[[], bool]
    ) -> None:
        self._state = state
        self._questions = questions
        self._glyphs = glyphs
        self._is_connected = is_connected

    def above(self, paper: Paper, width: int, rows: int) -> list[ScreenLine]:
        """Give the lines above the input line: the end of what grows, then what a person must see."""
        now = time.time_ns() // 1_000_000
        view = self._state.view
        activity = status.activity_line(self._activity(now), self._glyphs, width)
        sections = [
            self._question(width),
            status.queue_lines(view.queue.values(), self._glyphs, held=view.held),
            [activity] if activity else [],
        ]
        below = status.fitted(sections, rows)
        live = paper.live(self._state.transcript.live, now)
        room = min(len(live), max(0, rows - len(below)))
        return [
            *live[len(live) - room :],
            *(status.cut_fragments(line, width, self._glyphs.more) for line in below),
        ]

    def label(self) -> Fragments:
        """Give what stands before the input."""
        if self._questions.wants_words:
            return [("class:question", "? ")]
        return [("class:prompt", f"{self._glyphs.prompt} ")]

    def footer(self, width: int) -> Fragments:
        """Give the last line."""
        return status.footer(self._state.view, self._state.cost, width, self._glyphs)

    def _question(self, width: int) -> list[Fragments]:
        front = self._questions.front
        if front is None:
            return []
        waiting, armed = len(self._questions) - 1, self._questions.is_armed
        return status.question_lines(front, self._glyphs, width=width, waiting=waiting, armed=armed)

    def _activity(self, now: int) -> Activity:
        run = self._state.view.run
        return Activity(
            doing="" if run is None else self._state.transcript.doing,
            for_ms=max(0, now - run.started.started_at) if run is not None else now % 1_000_000,
            cancelling=run is not None and self._state.cancelling == run.run_id,
            connected=self._is_connected(),
            hint=self._state.hint,
            unsent=self._state.unsent,
        )
