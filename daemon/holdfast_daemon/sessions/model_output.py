"""A model's step events as events of the log: blocks with ids and offsets, messages, usage.

Keeps the whole text of open blocks, so that every block gets its end, also when the step is cut.
"""

from typing import Final

from holdfast_daemon.journal.redactor import Redactor
from holdfast_daemon.models.base import (
    BlockDelta,
    BlockEnded,
    BlockStarted,
    ModelError,
    RetryScheduled,
    StepCompleted,
    StepEvent,
)
from holdfast_daemon.sessions.run_log import RunLog
from holdfast_protocol import events
from holdfast_protocol.events import BlockKind, Cost, ErrorInfo, StopReason, Usage

_UTF8_BYTES_MAX: Final = 4  # Bytes of one code point: what a limit in bytes allows for surely.


class Call:
    """A tool call the model made, whole."""

    __slots__ = ("input_json", "step", "tool", "tool_call_id")

    def __init__(self, tool_call_id: str, tool: str, input_json: str, step: int) -> None:
        self.tool_call_id = tool_call_id
        self.tool = tool
        self.input_json = input_json
        self.step = step


class _Block:
    """A block that streams."""

    __slots__ = ("block_id", "kind", "length", "parts", "tool", "tool_call_id")

    def __init__(self, block_id: str, kind: BlockKind, tool: str | None, tool_call_id: str | None) -> None:
        self.block_id = block_id
        self.kind: BlockKind = kind
        self.tool = tool
        self.tool_call_id = tool_call_id
        self.parts: list[str] = []
        self.length = 0


class ModelOutput:
    """One run's model output.

    Args:
        log: where the events go.
        model: the model's name, for the usage.
        redactor: what all text passes.
        block_bytes_max: a block that grows beyond fails the run.
        calls_max: calls in one step; more fail the run.

    Attributes:
        step: the step under way, from 1.
        calls: the calls of the step that completed last, in the model's order.
        texts: the texts of that step.
        usage: the run's so far.
        cost: the run's so far; None if nothing is priced.
        stop_reason: the last step's.
    """

    def __init__(
        self, log: RunLog, model: str, redactor: Redactor, *, block_bytes_max: int, calls_max: int
    ) -> None:
        self._log = log
        self._model = model
        self._redactor = redactor
        self._characters_max = block_bytes_max // _UTF8_BYTES_MAX
        self._calls_max = calls_max
        self._open: dict[int, _Block] = {}
        self._blocks = 0
        self._tool_calls = 0
        self._in_step = False
        self.step = 0
        self.calls: list[Call] = []
        self.usage = Usage()
        self.cost: Cost | None = None
        self.stop_reason: StopReason = "end_turn"
        self.texts: list[str] = []

    async def receive(self, event: StepEvent) -> None:
        """Log one step event.

        Raises:
            ModelError: it does not fit the ones before it, or a limit is hit.
        """
        if not self._in_step:
            self._in_step = True
            self.step += 1
            self.calls = []
            self.texts = []
            self._blocks = self._tool_calls = 0
        match event:
            case BlockDelta():
                await self._delta(event)
            case BlockStarted():
                await self._start(event)
            case BlockEnded():
                await self._end(event)
            case StepCompleted():
                await self._complete(event)
            case RetryScheduled():
                await self._notice_retry(event)

    def resume(self, step: int, calls: list[Call], usage: Usage, cost: Cost | None) -> None:
        """Take up a run that waited through a restart: its last step is whole, some calls have no outcome."""
        self.step = step
        self.calls = calls
        self.usage = usage
        self.cost = cost

    def model_is(self, model: str) -> None:
        """Say that another model answers than was meant when the run began."""
        self._model = model

    def add(self, usage: Usage, cost: Cost | None) -> None:
        """Count what the run used."""
        self.usage += usage
        if cost is not None:
            spent = self.cost.amount if self.cost else 0.0
            self.cost = Cost(amount=spent + cost.amount, currency=cost.currency)

    async def spent(self, usage: Usage | None, cost: Cost | None) -> None:
        """Count what a response used that came to nothing."""
        if usage is None:
            return
        self.add(usage, cost)
        await self._log.commit(
            events.UsageUpdated(
                run_id=self._log.run_id, model=self._model, step=self.step, usage=usage, cost=cost
            )
        )

    def closing_events(self) -> tuple[events.Event, ...]:
        """Give the partial ends of the blocks that are open."""
        ends = tuple(self._end_event(block, partial=True) for block in self._open.values())
        self._open.clear()
        return ends

    async def _notice_retry(self, event: RetryScheduled) -> None:
        await self.spent(event.usage, event.cost)
        wait = f"Try {event.attempt + 1} follows in {event.delay_ms / 1000:.1f} s."
        await self._log.commit(
            events.Notice(
                run_id=self._log.run_id,
                kind="model_retry",
                message=f"{event.error.message} {wait}",
                level="warning",
            )
        )

    @property
    def _message_id(self) -> str:
        return f"{self._log.run_id}-m{self.step}"

    async def _start(self, event: BlockStarted) -> None:
        if event.index in self._open:
            raise _protocol_error("The model started a block twice.")
        self._blocks += 1
        tool_call_id = None
        if event.kind == "tool_input":
            self._tool_calls += 1
            tool_call_id = f"{self._message_id}-t{self._tool_calls}"
        block = _Block(f"{self._message_id}-b{self._blocks}", event.kind, event.tool, tool_call_id)
        await self._log.emit(
            events.ContentBlockStart,
            block_id=block.block_id,
            message_id=self._message_id,
            step=self.step,
            kind=block.kind,
            tool_call_id=tool_call_id,
            tool=block.tool,
        )
        self._open[event.index] = block  # Not before: a cancelled emit has no start to be ended.

    async def _delta(self, event: BlockDelta) -> None:
        block = self._block(event.index)
        if block.length + len(event.text) > self._characters_max:
            raise ModelError(
                ErrorInfo(
                    kind="too_large",
                    message=f"A block is over {self._characters_max} characters (block_bytes_max).",
                )
            )
        await self._append(block, self._redactor.feed(block.block_id, event.text))

    async def _append(self, block: _Block, text: str) -> None:
        if not text:
            return
        await self._log.emit(events.TokenDelta, block_id=block.block_id, offset=block.length, text=text)
        block.parts.append(text)
        block.length += len(text)

    async def _end(self, event: BlockEnded) -> None:
        block = self._block(event.index)
        if block.tool_call_id is not None and len(self.calls) >= self._calls_max:
            # Said while the block is open: the end of the run then closes it.
            raise _protocol_error(
                f"More than {self._calls_max} tool calls in one step (tool_calls_per_step_max)."
            )
        await self._append(block, self._redactor.finish(block.block_id))
        del self._open[event.index]
        end = self._end_event(block, provider=event.provider, opaque=event.opaque)
        if block.tool_call_id is not None:
            self.calls.append(Call(block.tool_call_id, block.tool or "", end.text, self.step))
        elif block.kind == "text":
            self.texts.append(end.text)
        await self._log.commit(end)

    async def _complete(self, event: StepCompleted) -> None:
        if self._open:
            raise _protocol_error("The model ended a step with open blocks.")
        self._in_step = False
        self.stop_reason = event.stop_reason
        self.add(event.usage, event.cost)
        run_id = self._log.run_id
        await self._log.commit(
            events.MessageCompleted(
                run_id=run_id,
                message_id=self._message_id,
                step=self.step,
                usage=event.usage,
                stop_reason=event.stop_reason,
                detail=event.detail,
            ),
            events.UsageUpdated(
                run_id=run_id, model=self._model, step=self.step, usage=event.usage, cost=event.cost
            ),
        )

    def _block(self, index: int) -> _Block:
        block = self._open.get(index)
        if block is None:
            raise _protocol_error("The model continued a block that is not open.")
        return block

    def _end_event(
        self,
        block: _Block,
        *,
        partial: bool = False,
        provider: str | None = None,
        opaque: events.Json = None,
    ) -> events.ContentBlockEnd:
        return events.ContentBlockEnd(
            run_id=self._log.run_id,
            block_id=block.block_id,
            message_id=self._message_id,
            step=self.step,
            kind=block.kind,
            text="".join(block.parts),
            tool_call_id=block.tool_call_id,
            tool=block.tool,
            partial=partial,
            provider=provider,
            opaque=opaque,
        )


def _protocol_error(message: str) -> ModelError:
    return ModelError(ErrorInfo(kind="protocol", message=message))
