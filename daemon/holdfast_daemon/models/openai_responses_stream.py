"""The stream of a Responses response as step events. Pure.

An output item is a block; its place in the output is the block's index. What goes back comes from the item's
end, which alone is complete: reasoning items whole and encrypted, the `phase` of messages, the id of a call.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from holdfast_daemon.models.base import BlockDelta, BlockEnded, BlockStarted, StepCompleted, StepEvent
from holdfast_daemon.models.errors import Fault, named
from holdfast_daemon.models.sse import SseEvent
from holdfast_daemon.models.usage import ResponsesUsage, estimated_usage, responses_usage
from holdfast_protocol.events import BlockKind, Json, StopReason, Usage

_KINDS: Final[dict[str, BlockKind]] = {
    "message": "text",
    "reasoning": "thinking",
    "function_call": "tool_input",
}
_PARAGRAPH: Final = "\n\n"  # Between the parts of a summary.


class _Type(msgspec.Struct):
    type: str


class _Item(msgspec.Struct):
    type: str
    name: str | None = None


class _ItemAdded(msgspec.Struct):
    output_index: int
    item: _Item


class _ItemDone(msgspec.Struct):
    output_index: int
    item: dict[str, Any]  # Whole: a reasoning item goes back with all it has.


class _TextDelta(msgspec.Struct):
    output_index: int
    delta: str


class _RefusalDelta(msgspec.Struct):
    output_index: int
    delta: str


class _SummaryPart(msgspec.Struct):
    output_index: int
    summary_index: int = 0


class _ErrorBody(msgspec.Struct):
    code: str | None = None
    type: str | None = None
    message: str | None = None


class _IncompleteDetails(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    status: str | None = None
    usage: ResponsesUsage | None = None
    error: _ErrorBody | None = None
    incomplete_details: _IncompleteDetails | None = None


class _Ended(msgspec.Struct):
    response: _Response


class _Error(msgspec.Struct):
    code: str | None = None
    message: str | None = None
    error: _ErrorBody | None = None


_Event = _ItemAdded | _ItemDone | _TextDelta | _RefusalDelta | _SummaryPart | _Ended | _Error

_TYPE: Final = msgspec.json.Decoder(_Type)
_TEXT: Final = msgspec.json.Decoder(_TextDelta)
_ENDED: Final = msgspec.json.Decoder(_Ended)
_DECODERS: Final[dict[bytes, msgspec.json.Decoder[Any]]] = {
    b"response.output_item.added": msgspec.json.Decoder(_ItemAdded),
    b"response.output_item.done": msgspec.json.Decoder(_ItemDone),
    b"response.output_text.delta": _TEXT,
    b"response.reasoning_summary_text.delta": _TEXT,
    b"response.reasoning_text.delta": _TEXT,
    b"response.function_call_arguments.delta": _TEXT,
    b"response.refusal.delta": msgspec.json.Decoder(_RefusalDelta),
    b"response.reasoning_summary_part.added": msgspec.json.Decoder(_SummaryPart),
    b"response.completed": _ENDED,
    b"response.failed": _ENDED,
    b"response.incomplete": _ENDED,
    b"error": msgspec.json.Decoder(_Error),
}


class _Open:
    """An item that streams."""

    __slots__ = ("kind", "length")

    def __init__(self, kind: BlockKind) -> None:
        self.kind: BlockKind = kind
        self.length = 0


class ResponsesReader:
    """See `Reader`.

    Args:
        provider: the name opaque parts are marked with.
    """

    def __init__(self, provider: str) -> None:
        self.done = False
        self._provider = provider
        self._open: dict[int, _Open] = {}
        self._skipped: set[int] = set()  # Open items of kinds that are not asked for.
        self._called = False
        self._refused = False
        self._cut_call = False
        self._usage: ResponsesUsage | None = None
        self._output_chars = 0

    @property
    def usage(self) -> Usage:
        """What was used, said at the end only; until then an estimate of the output."""
        if self._usage is None:
            return estimated_usage(self._output_chars)
        return responses_usage(self._usage)

    def feed(self, event: SseEvent) -> Iterable[StepEvent]:
        """See `Reader.feed`."""
        match _decoded(event):
            case _TextDelta() as delta:
                return self._delta(delta.output_index, delta.delta)
            case _ItemAdded() as added:
                return self._add(added)
            case _ItemDone() as ended:
                return self._end(ended)
            case _RefusalDelta() as delta:
                self._refused = True
                return self._delta(delta.output_index, delta.delta)
            case _SummaryPart() as part:
                return self._delta(part.output_index, _PARAGRAPH) if part.summary_index else ()
            case _Ended(response=response):
                return self._complete(response)
            case _Error() as error:
                body = error.error or _ErrorBody(code=error.code, message=error.message)
                raise _fault(body)
            case None:
                return ()

    def finish(self) -> Iterable[StepEvent]:
        """See `Reader.finish`: a response is whole with its terminal event only."""
        raise Fault("truncated")

    def continued(self, body: bytes) -> bytes | None:
        """See `Reader.continued`: this API knows no pauses."""
        del body

    def _add(self, event: _ItemAdded) -> Iterable[StepEvent]:
        if event.output_index in self._open or event.output_index in self._skipped:
            raise Fault("garbage")
        kind = _KINDS.get(event.item.type)
        if kind is None:
            self._skipped.add(event.output_index)
            return ()
        self._open[event.output_index] = _Open(kind)
        tool = event.item.name or "" if kind == "tool_input" else None
        return (BlockStarted(index=event.output_index, kind=kind, tool=tool),)

    def _delta(self, index: int, text: str) -> Iterable[StepEvent]:
        opened = self._open.get(index)
        if opened is None:
            if index in self._skipped:
                return ()
            raise Fault("garbage")
        opened.length += len(text)
        self._output_chars += len(text)
        return (BlockDelta(index=index, text=text),) if text else ()

    def _end(self, event: _ItemDone) -> Iterable[StepEvent]:
        opened = self._open.get(event.output_index)
        if opened is None:
            if event.output_index in self._skipped:
                return ()
            raise Fault("garbage")
        item = event.item
        if opened.kind == "tool_input" and item.get("status") == "incomplete":
            self._cut_call = True  # Stays open: a cut call is no call.
            return ()
        del self._open[event.output_index]
        index = event.output_index
        if opened.kind == "thinking":
            # Without its `status`, which is not taken back.
            opaque: Json = {name: value for name, value in item.items() if name != "status"}
            return (BlockEnded(index=index, provider=self._provider, opaque=opaque),)
        if opened.kind == "text":
            phase = None if item.get("phase") is None else {"phase": item["phase"]}
            return (BlockEnded(index=index, provider=self._provider if phase else None, opaque=phase),)
        self._called = True
        whole = "" if opened.length else str(item.get("arguments") or "")
        rest = (BlockDelta(index=index, text=whole),) if whole else ()
        ended = BlockEnded(index=index, provider=self._provider, opaque={"id": item.get("call_id")})
        return (*rest, ended)

    def _complete(self, response: _Response) -> Iterable[StepEvent]:
        self._usage = response.usage or self._usage
        if response.error is not None or response.status in {"failed", "cancelled"}:
            raise _fault(response.error or _ErrorBody())
        reason = response.incomplete_details.reason if response.incomplete_details else None
        if reason == "content_filter":
            raise Fault("content_filter")
        if self._open:
            said = "the limit of output tokens cut a tool call" if self._cut_call else None
            raise Fault("truncated", said)
        self.done = True
        return (StepCompleted(stop_reason=self._stop_reason(reason), usage=self.usage),)

    def _stop_reason(self, incomplete: str | None) -> StopReason:
        if incomplete is not None:
            return "max_tokens"
        if self._called:
            return "tool_use"
        return "refusal" if self._refused else "end_turn"


def _fault(error: _ErrorBody) -> Fault:
    return named(tuple(name for name in (error.code, error.type) if name), error.message)


def _decoded(event: SseEvent) -> _Event | None:
    """Read one event; None if it is of a kind that need not be known."""
    try:
        decoder = _DECODERS.get(event.name or _TYPE.decode(event.data).type.encode())
        return None if decoder is None else decoder.decode(event.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Fault("garbage") from error
