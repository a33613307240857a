"""The stream of a Messages response as step events. Pure.

A block of thinking goes to the log whole, with its signature, to be sent back as it came. The end of a tool
call is held back until what follows shows that the call was not cut by the limit of output tokens: a cut call
is no call, whatever its input looks like.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from holdfast_daemon.models.anthropic_request import continued
from holdfast_daemon.models.base import BlockDelta, BlockEnded, BlockStarted, StepCompleted, StepEvent
from holdfast_daemon.models.errors import Fault, named
from holdfast_daemon.models.sse import SseEvent
from holdfast_daemon.models.tool_input import input_object, is_object
from holdfast_daemon.models.usage import AnthropicUsage, anthropic_usage, latest
from holdfast_protocol.events import StopReason, Usage

_STOP_REASONS: Final[dict[str, StopReason]] = {
    "end_turn": "end_turn",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "pause_turn": "pause_turn",
    "refusal": "refusal",
    "model_context_window_exceeded": "max_tokens",
}
_CUT: Final = frozenset(("max_tokens", "model_context_window_exceeded"))


class _Type(msgspec.Struct):
    type: str


class _Block(msgspec.Struct):
    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct):
    usage: AnthropicUsage | None = None


class _MessageStart(msgspec.Struct):
    message: _Message


class _BlockStart(msgspec.Struct):
    index: int
    content_block: msgspec.Raw


class _Delta(msgspec.Struct):
    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: Any = None


class _BlockDelta(msgspec.Struct):
    index: int
    delta: _Delta


class _BlockStop(msgspec.Struct):
    index: int


class _StopDetails(msgspec.Struct):
    category: str | None = None
    explanation: str | None = None


class _Stop(msgspec.Struct):
    stop_reason: str | None = None
    stop_details: _StopDetails | None = None


class _MessageDelta(msgspec.Struct):
    delta: _Stop
    usage: AnthropicUsage | None = None


class _MessageStop(msgspec.Struct):
    pass


class _ErrorBody(msgspec.Struct):
    type: str | None = None
    message: str | None = None


class _Error(msgspec.Struct):
    error: _ErrorBody


_Event = _MessageStart | _BlockStart | _BlockDelta | _BlockStop | _MessageDelta | _MessageStop | _Error

_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding may raise; only the first says that it may."""

_TYPE: Final = msgspec.json.Decoder(_Type)
_DECODERS: Final[dict[bytes, msgspec.json.Decoder[Any]]] = {
    b"message_start": msgspec.json.Decoder(_MessageStart),
    b"content_block_start": msgspec.json.Decoder(_BlockStart),
    b"content_block_delta": msgspec.json.Decoder(_BlockDelta),
    b"content_block_stop": msgspec.json.Decoder(_BlockStop),
    b"message_delta": msgspec.json.Decoder(_MessageDelta),
    b"message_stop": msgspec.json.Decoder(_MessageStop),
    b"error": msgspec.json.Decoder(_Error),
}


_BLOCK: Final = msgspec.json.Decoder(_Block)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CITATIONS: Final = msgspec.json.Decoder(list[msgspec.Raw] | None)
_SHOWN: Final = frozenset(("text", "thinking", "redacted_thinking", "tool_use"))
"""The kinds that are asked for; blocks of others stream by."""


class _Open:
    """A block that streams. Its pieces are kept for what goes back verbatim."""

    __slots__ = ("block", "citations", "json", "raw", "shown", "signature", "text", "thinking")

    def __init__(self, raw: msgspec.Raw) -> None:
        self.raw = raw
        self.block = _BLOCK.decode(raw)
        self.shown = self.block.type in _SHOWN  # Whether it becomes step events.
        self.text: list[str] = []
        self.json: list[str] = []
        self.thinking: list[str] = []
        self.signature: list[str] = []
        self.citations: list[Any] = []

    def append(self, delta: _Delta) -> str | None:
        """Keep a piece; give the text in it, if any."""
        match delta.type:
            case "text_delta":
                self.text.append(delta.text or "")
                return delta.text
            case "thinking_delta":
                self.thinking.append(delta.thinking or "")
                return delta.thinking
            case "input_json_delta":
                self.json.append(delta.partial_json or "")
                return delta.partial_json
            case "signature_delta":
                self.signature.append(delta.signature or "")
            case "citations_delta":
                self.citations.append(delta.citation)
            case _:
                pass  # A kind unknown here.
        return None

    def whole(self) -> dict[str, Any]:
        """Give the block as it is to be sent back."""
        if self.block.type == "thinking":
            return _thinking(self)
        members: dict[str, Any] = {**_MEMBERS.decode(self.raw)}
        if self.text:
            members["text"] = (self.block.text or "") + "".join(self.text)
        if self.json:
            members["input"] = msgspec.Raw(input_object("".join(self.json)))
        if self.citations:
            before: list[Any] = _CITATIONS.decode(members.get("citations", b"null")) or []
            members["citations"] = [*before, *self.citations]
        return members


class MessagesReader:
    """See `Reader`.

    Args:
        provider: the name opaque parts are marked with.
    """

    def __init__(self, provider: str) -> None:
        self.done = False
        self._provider = provider
        self._started = False
        self._usage = AnthropicUsage()
        self._open: dict[int, _Open] = {}
        self._ended: dict[int, _Open] = {}  # In their order: what goes back if the response pauses.
        self._held: tuple[int, _Open] | None = None  # A tool call that ended last.
        self._stop: _Stop | None = None

    @property
    def usage(self) -> Usage:
        """What was used so far."""
        return anthropic_usage(self._usage)

    def feed(self, event: SseEvent) -> Iterable[StepEvent]:
        """See `Reader.feed`."""
        match _decoded(event):
            case _BlockDelta() as delta:
                return self._delta(delta)
            case _BlockStart() as start:
                return self._start(start)
            case _BlockStop() as stop:
                return self._end(stop.index)
            case _MessageStart() as start:
                self._begin(start.message)
            case _MessageDelta() as delta:
                self._stop = delta.delta if delta.delta.stop_reason is not None else self._stop
                self._usage = latest(self._usage, delta.usage or AnthropicUsage())
            case _MessageStop():
                return self._complete()
            case _Error(error=error):
                raise named((error.type,) if error.type else (), error.message)
            case None:
                pass
        return ()

    def finish(self) -> Iterable[StepEvent]:
        """See `Reader.finish`: a message is whole with `message_stop` only."""
        raise Fault("truncated")

    def continued(self, body: bytes) -> bytes | None:
        """See `Reader.continued`: all that came, blocks of every kind, in their order and as they came."""
        try:
            content = [opened.whole() for opened in self._ended.values()]
            return continued(body, content) if content else None
        except _UNREADABLE:
            return None  # Members that nobody looks at otherwise are not what they should be.

    def _begin(self, message: _Message) -> None:
        if self._started:
            raise Fault("garbage")
        self._started = True
        self._usage = message.usage or AnthropicUsage()

    def _start(self, event: _BlockStart) -> Iterable[StepEvent]:
        if not self._started or event.index in self._open:
            raise Fault("garbage")
        opened = self._open[event.index] = _opened(event.content_block)
        block = opened.block
        before = self._release()
        if not opened.shown:
            return before
        if block.type == "tool_use":
            return (*before, BlockStarted(index=event.index, kind="tool_input", tool=block.name or ""))
        kind = "text" if block.type == "text" else "thinking"
        started = BlockStarted(index=event.index, kind=kind)
        text = block.text or block.thinking  # Empty, as a rule: the text comes in deltas.
        return (*before, started, *(self._thought(event.index, text) if text else ()))

    def _thought(self, index: int, text: str) -> Iterable[StepEvent]:
        if self._open[index].block.type == "thinking":
            self._open[index].thinking.append(text)
        return (BlockDelta(index=index, text=text),)

    def _delta(self, event: _BlockDelta) -> Iterable[StepEvent]:
        opened = self._open.get(event.index)
        if opened is None:
            raise Fault("garbage")
        text = opened.append(event.delta)
        return (BlockDelta(index=event.index, text=text),) if text and opened.shown else ()

    def _end(self, index: int) -> Iterable[StepEvent]:
        opened = self._open.pop(index, None)
        if opened is None:
            raise Fault("garbage")
        self._ended[index] = opened
        if not opened.shown:
            return ()
        before = self._release()
        if opened.block.type == "tool_use":
            self._held = (index, opened)
            return before
        if opened.block.type == "text":
            return (*before, BlockEnded(index=index))
        return (*before, BlockEnded(index=index, provider=self._provider, opaque=_thinking(opened)))

    def _release(self) -> Iterable[StepEvent]:
        """Give the end of the tool call that was held back: something came after it, so it is whole."""
        if self._held is None:
            return ()
        index, opened = self._held
        self._held = None
        opaque = {"id": opened.block.id}
        before: Iterable[StepEvent] = ()
        if not opened.json and bytes(opened.block.input).strip() not in {b"", b"{}", b"null"}:
            before = (BlockDelta(index=index, text=bytes(opened.block.input).decode()),)
        return (*before, BlockEnded(index=index, provider=self._provider, opaque=opaque))

    def _complete(self) -> Iterable[StepEvent]:
        if self._stop is None or self._stop.stop_reason is None or self._open:
            raise Fault("truncated")
        said = self._stop.stop_reason
        if said in _CUT and self._held is not None and not is_object("".join(self._held[1].json)):
            raise Fault("truncated", "the limit of output tokens cut a tool call")
        details = self._stop.stop_details
        self.done = True
        completed = StepCompleted(
            stop_reason=_STOP_REASONS.get(said, "end_turn"),
            usage=self.usage,
            detail=None if details is None else details.explanation or details.category,
        )
        return (*self._release(), completed)


def _opened(raw: msgspec.Raw) -> _Open:
    try:
        return _Open(raw)
    except _UNREADABLE as error:
        raise Fault("garbage") from error


def _thinking(opened: _Open) -> dict[str, str]:
    """Give a block of thinking as it is to be sent back."""
    if opened.block.type == "redacted_thinking":
        return {"type": "redacted_thinking", "data": opened.block.data or ""}
    signature = "".join(opened.signature) or opened.block.signature or ""
    return {"type": "thinking", "thinking": "".join(opened.thinking), "signature": signature}


def _decoded(event: SseEvent) -> _Event | None:
    """Read one event; None if it is of a kind that need not be known, such as `ping`."""
    try:
        decoder = _DECODERS.get(event.name or _TYPE.decode(event.data).type.encode())
        return None if decoder is None else decoder.decode(event.data)
    except _UNREADABLE as error:
        raise Fault("garbage") from error
