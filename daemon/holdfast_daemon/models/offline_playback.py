"""Plays one step of the offline model: actions to step events, and waits in between.

Pure: no clock, no I/O; the same step gives the same items. `offline` does the waiting. Streams of any length
take constant memory and constant work per delta.
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from holdfast_daemon.models.base import (
    BlockDelta,
    BlockEnded,
    BlockStarted,
    ModelError,
    StepCompleted,
    StepEvent,
)
from holdfast_daemon.models.offline_info import PROVIDER
from holdfast_daemon.models.offline_steps import (
    Action,
    Call,
    Count,
    Fail,
    Garbage,
    Hang,
    Interleave,
    SetCost,
    SetUsage,
    Step,
    Stop,
    Text,
    Thinking,
    Words,
)
from holdfast_protocol.events import BlockKind, Cost, ErrorInfo, StopReason, Usage

CHARS_PER_TOKEN: Final = 4
"""A rule of thumb for English; the estimate only has to be the same every time."""

_TICK_S: Final = 0.01  # A paced stream comes in bursts, one per tick: a timer costs more than a delta.
_UNPACED_BURST: Final = 256
_WORD: Final = re.compile(r"\S+\s*|\s+")


class Pause(msgspec.Struct, frozen=True):
    """Wait so long."""

    seconds: float


class Pace(msgspec.Struct, frozen=True):
    """Wait until so much time has passed since the last `Pace` of 0."""

    elapsed_s: float


class Forever(msgspec.Struct, frozen=True):
    """Wait until cancelled."""


Item = StepEvent | Pause | Pace | Forever


class Playback:
    """One step being played.

    Args:
        step: its actions.
        input_chars: the size of the conversation, for the usage estimate.
    """

    def __init__(self, step: Step, input_chars: int) -> None:
        self._step = step
        self._input_chars = input_chars
        self._blocks = 0  # Blocks started: the next one's index.
        self._output_chars = 0
        self._thinking_chars = 0  # Part of the output.
        self._called = False
        self._usage: Usage | None = None  # What the script says in place of the estimate.
        self._cost = Cost(amount=0.0)
        self._stop_reason: StopReason | None = None

    def items(self) -> Iterator[Item]:
        """Give events and waits in order; can be iterated once.

        Raises:
            ModelError: where an action says so.
        """
        for action in self._step:
            yield from self._play(action)
        yield StepCompleted(
            stop_reason=self._stop_reason or ("tool_use" if self._called else "end_turn"),
            usage=self._usage or self._estimate(),
            cost=self._cost,
        )

    def _play(self, action: Action) -> Iterator[Item]:
        match action:
            case Text():  # Thinking too.
                yield from self._text(action)
            case Call():
                yield from self._call(action)
            case Words():
                yield from self._block("text", (word[0] for word in _WORD.finditer(action.value)))
            case Count():
                yield from self._block("text", (f"{n} " for n in range(1, action.to + 1)))
            case Interleave():
                yield from self._interleave(action)
            case Hang():
                yield Forever()
            case Fail() | Garbage():
                raise ModelError(_failure(action))
            case SetUsage() | SetCost() | Stop():
                self._set(action)

    def _set(self, action: SetUsage | SetCost | Stop) -> None:
        match action:
            case SetUsage():
                self._usage = msgspec.convert(action, Usage, from_attributes=True)
            case SetCost():
                self._cost = Cost(amount=action.amount, currency=action.currency)
            case Stop():
                self._stop_reason = action.reason

    def _text(self, action: Text) -> Iterator[Item]:
        thinking = isinstance(action, Thinking)
        pieces = itertools.chain.from_iterable(
            itertools.repeat(_cut(action.value, action.delta_chars), action.repeat)
        )
        opaque = {"signature": action.signature} if thinking and action.signature is not None else None
        before = self._output_chars
        yield from self._block(
            "thinking" if thinking else "text",
            pieces,
            delay_ms=action.delay_ms,
            ended=BlockEnded(index=self._blocks, provider=PROVIDER if opaque else None, opaque=opaque),
            end=action.end,
        )
        self._thinking_chars += self._output_chars - before if thinking else 0

    def _call(self, action: Call) -> Iterator[Item]:
        self._called = True
        text = action.raw if action.raw is not None else _json(action.input or {})
        pieces = _cut(text, action.delta_chars)
        yield from self._block(
            "tool_input", pieces, delay_ms=action.delay_ms, end=action.end, tool=action.tool
        )

    def _block(
        self,
        kind: BlockKind,
        pieces: Iterable[str],
        *,
        delay_ms: int = 0,
        ended: BlockEnded | None = None,
        end: bool = True,
        tool: str | None = None,
    ) -> Iterator[Item]:
        index = self._blocks
        self._blocks += 1
        pause = Pause(delay_ms / 1000) if delay_ms else None
        yield BlockStarted(index=index, kind=kind, tool=tool)
        first = True
        for piece in pieces:
            if pause is not None and not first:
                yield pause
            first = False
            self._output_chars += len(piece)
            yield BlockDelta(index=index, text=piece)
        if end:
            yield ended or BlockEnded(index=index)

    def _interleave(self, action: Interleave) -> Iterator[Item]:
        indexes = range(self._blocks, self._blocks + action.blocks)
        self._blocks += action.blocks
        yield from (BlockStarted(index=index, kind="text") for index in indexes)
        # The same few events over and over: a load test measures the daemon, not this.
        deltas = itertools.cycle([BlockDelta(index=index, text=action.text) for index in indexes])
        rate = action.per_second
        burst = max(1, round(rate * _TICK_S)) if rate else _UNPACED_BURST
        for done in range(0, action.count, burst):
            if rate:
                yield Pace(done / rate)
            yield from itertools.islice(deltas, min(burst, action.count - done))
        self._output_chars += action.count * len(action.text)
        yield from (BlockEnded(index=index) for index in indexes)

    def _estimate(self) -> Usage:
        return Usage(
            input=self._input_chars // CHARS_PER_TOKEN,
            output=self._output_chars // CHARS_PER_TOKEN,
            reasoning=self._thinking_chars // CHARS_PER_TOKEN,
            estimated=True,
        )


def _cut(text: str, size: int | None) -> list[str]:
    if size is None:
        return [text] if text else []
    return [text[at : at + size] for at in range(0, len(text), size)]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _failure(action: Fail | Garbage) -> ErrorInfo:
    if isinstance(action, Garbage):
        return ErrorInfo(kind="protocol", message=action.message, provider=PROVIDER)
    return ErrorInfo(
        kind=action.kind,
        message=action.message,
        retryable=action.retryable,
        retry_after_ms=action.retry_after_ms,
        status=action.status,
        provider=PROVIDER,
    )
