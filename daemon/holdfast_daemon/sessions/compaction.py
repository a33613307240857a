"""Keeps a conversation within its model's window: a summary takes the place of what came before.

Only for the model: the log keeps everything. Looked at where nothing is in flight: before a run's first step
and between steps.
"""

from contextlib import aclosing
from typing import Final

from holdfast_daemon.models.base import (
    BlockDelta,
    BlockStarted,
    Message,
    Model,
    ModelError,
    ModelOptions,
    StepCompleted,
    UserMessage,
)
from holdfast_daemon.sessions.history import History
from holdfast_daemon.sessions.run_log import RunLog
from holdfast_protocol import events
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Cost, Usage

_ASK: Final = (
    "The conversation is about to leave your window. Write what you need to go on without it: the task in "
    "the user's words, what was decided, what was done, which files and commands matter, what is still open. "
    "Be exact with names and numbers. Write nothing else, and call no tool."
)
_SYSTEM: Final = "You sum up a conversation between a user and an agent, for the agent."
_SUMMARY_CHARACTERS_MAX: Final = 64 * 1024


class Compaction:
    """One run's.

    Args:
        log: the run's.
        model: the run's.
        percent: of the model's window; from there on the conversation is summed up.
    """

    def __init__(self, log: RunLog, model: Model, percent: int) -> None:
        self._log = log
        self._percent = percent
        self._failed = False
        self.model_is(model)

    def model_is(self, model: Model) -> None:
        """Say which model answers."""
        self._model = model
        window = model.info.context_tokens
        self._tokens_max = None if window is None else window * self._percent // 100

    def due(self, history: History) -> bool:
        """Tell whether the conversation is near the window; never of a model whose window is unknown."""
        return self._tokens_max is not None and not self._failed and history.tokens > self._tokens_max

    async def compact(self, history: History, step: int, *, upto: int) -> tuple[Usage, Cost | None]:
        """Sum up what came up to and with an event; give what that used.

        A model that cannot leaves the conversation as it is, with a notice.

        Args:
            history: the session's, with nothing in flight.
            step: the run's so far.
            upto: the seq.
        """
        asked: tuple[Message, ...] = (
            *history.messages(upto=upto),
            UserMessage(content=(TextBlock(text=_ASK),)),
        )
        try:
            summary, completed = await self._ask(asked)
        except ModelError as error:
            return await self._give_up(error.info.message), None
        run_id = self._log.run_id
        if not summary.strip():
            return await self._give_up("it wrote nothing"), None
        await self._log.commit(
            events.UsageUpdated(
                run_id=run_id,
                model=self._model.info.name,
                step=step,
                usage=completed.usage,
                cost=completed.cost,
            ),
            events.Compacted(run_id=run_id, upto=upto, summary=summary[:_SUMMARY_CHARACTERS_MAX]),
        )
        return completed.usage, completed.cost

    async def _ask(self, messages: tuple[Message, ...]) -> tuple[str, StepCompleted]:
        texts: list[str] = []
        shown: set[int] = set()
        completed = StepCompleted(stop_reason="end_turn", usage=Usage())
        async with aclosing(self._model.stream(messages, (), _SYSTEM, ModelOptions())) as stream:
            async for event in stream:
                match event:
                    case BlockStarted(kind="text"):
                        shown.add(event.index)
                    case BlockDelta() if event.index in shown:
                        texts.append(event.text)
                    case StepCompleted():
                        completed = event
                    case _:
                        pass
        return "".join(texts), completed

    async def _give_up(self, reason: str) -> Usage:
        self._failed = True
        message = f"The conversation could not be summed up: {reason}"
        notice = events.Notice(
            run_id=self._log.run_id, kind="compaction_failed", message=message, level="warning"
        )
        await self._log.commit(notice)
        return Usage()
