"""Keeps a conversation within its model's window: a summary takes the place of what came before.

Only for the model: the log keeps everything. Looked at where nothing is in flight: before a run's first step
and between steps.
"""

from typing import Final

from holdfast_daemon.models.base import Model, ModelError
from holdfast_daemon.sessions.history import History
from holdfast_daemon.sessions.run_log import RunLog
from holdfast_daemon.sessions.summing_up import Around, SummingUp
from holdfast_protocol import events
from holdfast_protocol.events import Cost, Usage

_FUTILE: Final = "it was just done, and the model's window is nearly full again after one step."


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
        self._fresh = False  # A summary was made, and no step behind it was looked at yet.
        self.model_is(model)

    def model_is(self, model: Model) -> None:
        """Say which model answers."""
        self._model = model
        window = model.info.context_tokens
        self._tokens_max = None if window is None else window * self._percent // 100

    def due(self, history: History) -> bool:
        """Tell whether the conversation is near the window; never of a model whose window is unknown."""
        due = self._tokens_max is not None and not self._failed and history.tokens > self._tokens_max
        self._fresh = self._fresh and due
        return due

    async def compact(
        self, history: History, step: int, around: Around, *, upto: int
    ) -> tuple[Usage, Cost | None]:
        """Sum up what came up to and with an event, where that is due; give what it used.

        A model that cannot leaves the conversation as it is, with a notice, and is not asked again. Nor is it
        where the first request behind a summary was over the bound: it is what is around that is too long.

        Args:
            history: the session's, with nothing in flight.
            step: the run's so far.
            around: of the run's requests.
            upto: the seq.
        """
        assert self._tokens_max is not None
        if self._fresh and history.request_tokens > self._tokens_max:
            await self._give_up(_FUTILE)
            return Usage(), None
        asked = SummingUp(self._model, around)
        run_id = self._log.run_id
        try:
            summary = await asked.summary(history.messages(upto=upto), history.tokens)
        except ModelError as error:
            await self._give_up(error.info.message, *self._used(step, asked))
        else:
            self._fresh = True
            compacted = events.Compacted(run_id=run_id, upto=upto, summary=summary)
            await self._log.commit(*self._used(step, asked), compacted)
        return asked.usage, asked.cost

    def _used(self, step: int, asked: SummingUp) -> tuple[events.Event, ...]:
        if asked.usage == Usage() and asked.cost is None:
            return ()
        used = events.UsageUpdated(
            run_id=self._log.run_id,
            model=self._model.info.name,
            step=step,
            usage=asked.usage,
            cost=asked.cost,
        )
        return (used,)

    async def _give_up(self, reason: str, *used: events.Event) -> None:
        self._failed = True
        message = f"The conversation could not be summed up: {reason}"
        notice = events.Notice(
            run_id=self._log.run_id, kind="compaction_failed", message=message, level="warning"
        )
        await self._log.commit(*used, notice)
