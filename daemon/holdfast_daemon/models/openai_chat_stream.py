"""The stream of a Chat Completions response as step events. Pure.

The API has no blocks: they are made here, in the order of their first pieces. Reasoning and text end when
something else begins; tool calls, which may grow side by side, when whole and another begins, or with the
response. Compatible servers differ: usage in each chunk or none, whole calls in one chunk, no ids, null for
what is absent, `stop` where tools were called.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from holdfast_daemon.models.base import BlockDelta, BlockEnded, BlockStarted, StepCompleted, StepEvent
from holdfast_daemon.models.errors import Fault, described, named
from holdfast_daemon.models.sse import SseEvent
from holdfast_daemon.models.tool_input import is_object
from holdfast_daemon.models.usage import ChatUsage, chat_usage, estimated_usage
from holdfast_protocol.events import BlockKind, StopReason, Usage

_STOP_REASONS: Final[dict[str, StopReason]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
}


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None
    usage: ChatUsage | None = None  # Moonshot's place for it.


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: ChatUsage | None = None
    error: Any = None


_CHUNK: Final = msgspec.json.Decoder(_Chunk)


class _Open:
    """A block that streams."""

    __slots__ = ("call_id", "ended", "index", "kind", "pieces")

    def __init__(self, index: int, kind: BlockKind, call_id: str | None = None) -> None:
        self.index = index
        self.kind: BlockKind = kind
        self.call_id = call_id
        self.pieces: list[str] = []
        self.ended = False


class ChatReader:
    """See `Reader`.

    Args:
        provider: the name opaque parts are marked with.
    """

    def __init__(self, provider: str) -> None:
        self.done = False
        self._provider = provider
        self._blocks = 0
        self._prose: _Open | None = None  # The text or the reasoning that is open.
        self._calls: dict[int, _Open] = {}  # By the server's index or, below 0, ours; in their order.
        self._keys: dict[str, int] = {}  # Of calls that go by their ids.
        self._last_call: _Open | None = None
        self._usage: ChatUsage | None = None
        self._output_chars = 0
        self._finish_reason: str | None = None
        self._refused = False

    @property
    def usage(self) -> Usage:
        """What was used; an estimate of the output where the server says nothing."""
        if self._usage is None:
            return estimated_usage(self._output_chars)
        return chat_usage(self._usage)

    def feed(self, event: SseEvent) -> Iterable[StepEvent]:
        """See `Reader.feed`."""
        if event.data == b"[DONE]":
            return self.finish()
        try:
            chunk = _CHUNK.decode(event.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Fault("garbage") from error
        if chunk.error is not None or event.name == b"error":
            raise named(*described(event.data))
        if chunk.choices is None and chunk.usage is None:
            raise Fault("garbage")
        self._usage = chunk.usage or self._usage
        found: list[StepEvent] = []
        for choice in chunk.choices or ():
            self._choice(choice, found)
        return found

    def finish(self) -> Iterable[StepEvent]:
        """See `Reader.finish`: some servers leave `[DONE]` out, none leaves the reason of the stop out."""
        if self._finish_reason is None:
            raise Fault("truncated")
        if self._finish_reason == "content_filter":
            raise Fault("content_filter")
        calls = list(self._calls.values())
        if self._finish_reason == "length" and calls and not is_object("".join(calls[-1].pieces)):
            raise Fault("truncated", "the limit of output tokens cut a tool call")
        events = [*self._end_prose(), *(self._ended(call) for call in calls if not call.ended)]
        self.done = True
        return (*events, StepCompleted(stop_reason=self._stop_reason(called=bool(calls)), usage=self.usage))

    def continued(self, body: bytes) -> bytes | None:
        """See `Reader.continued`: this API knows no pauses."""
        del body

    def _stop_reason(self, *, called: bool) -> StopReason:
        said = _STOP_REASONS.get(self._finish_reason or "", "end_turn")
        if said == "end_turn":
            return "refusal" if self._refused else "tool_use" if called else said
        return said

    def _choice(self, choice: _Choice, found: list[StepEvent]) -> None:
        if choice.index:
            return  # One answer was asked for.
        self._usage = choice.usage or self._usage
        delta = choice.delta
        if delta is not None:
            reasoning = delta.reasoning_content or delta.reasoning
            if reasoning:
                self._write("thinking", reasoning, found)
            if delta.refusal:
                self._refused = True
            text = (delta.content or "") + (delta.refusal or "")
            if text:
                self._write("text", text, found)
            for call in delta.tool_calls or ():
                self._call(call, found)
        self._finish_reason = choice.finish_reason or self._finish_reason

    def _write(self, kind: BlockKind, text: str, found: list[StepEvent]) -> None:
        if self._prose is None or self._prose.kind != kind:
            found += self._end_prose()
            self._prose = _Open(self._next_index(), kind)
            found.append(BlockStarted(index=self._prose.index, kind=kind))
        found.append(self._append(self._prose, text))

    def _call(self, call: _Call, found: list[StepEvent]) -> None:
        found += self._end_prose()
        function = call.function or _Function()
        key = self._key(call)
        opened = self._calls.get(key)
        if opened is None:
            if not function.name:
                raise Fault("garbage")
            found += self._end_whole_call()
            opened = self._calls[key] = self._last_call = _Open(self._next_index(), "tool_input", call.id)
            found.append(BlockStarted(index=opened.index, kind="tool_input", tool=function.name))
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        if arguments and not opened.ended:
            found.append(self._append(opened, arguments))
        elif arguments and arguments.strip():
            raise Fault("garbage")

    def _key(self, call: _Call) -> int:
        """Give what a call goes by: its index, unless that is another's; else its id; else it is the last."""
        if call.index is not None:
            known = self._calls.get(call.index)
            if known is None or not call.id or known.call_id in {None, call.id}:
                return call.index
        if call.id:
            return self._keys.setdefault(call.id, -1 - len(self._calls))
        named_anew = call.function is not None and call.function.name is not None
        return -1 - len(self._calls) if named_anew or not self._calls else next(reversed(self._calls))

    def _end_whole_call(self) -> Iterable[StepEvent]:
        """Another call begins: end the one before, if it cannot grow any more."""
        call = self._last_call
        if call is None or call.ended or not is_object("".join(call.pieces)):
            return ()
        return (self._ended(call),)

    def _append(self, opened: _Open, text: str) -> BlockDelta:
        opened.pieces.append(text)
        self._output_chars += len(text)
        return BlockDelta(index=opened.index, text=text)

    def _end_prose(self) -> Iterable[StepEvent]:
        opened = self._prose
        self._prose = None
        return () if opened is None else (self._ended(opened),)

    def _ended(self, opened: _Open) -> BlockEnded:
        opened.ended = True
        if opened.kind == "text":
            return BlockEnded(index=opened.index)
        opaque: dict[str, Any] = (
            {"reasoning_content": "".join(opened.pieces)}
            if opened.kind == "thinking"
            else {"id": opened.call_id}
        )
        return BlockEnded(index=opened.index, provider=self._provider, opaque=opaque)

    def _next_index(self) -> int:
        self._blocks += 1
        return self._blocks - 1
