"""The readers of streams are pure: any stream gives step events or a `Fault`, and never anything else."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vendor_models import WIRES, kinds

from fakes.vendors.script import VENDORS, Call, Reply, Say, Think, Vendor
from fakes.vendors.streams import events
from holdfast_daemon.models.base import BlockDelta, BlockEnded, BlockStarted, StepEvent
from holdfast_daemon.models.errors import Fault
from holdfast_daemon.models.openai_chat_stream import ChatReader
from holdfast_daemon.models.sse import SseEvent
from holdfast_daemon.models.wire import Provider, Reader, Target

TARGET = Target(provider=Provider(name="p", base_url="https://p"), id="m")
REPLY = Reply(
    answer=(
        Think(pieces=("a", "b")),
        Say(pieces=("c",)),
        Call(tool="t", pieces=("{", "}")),
        Call(tool="t", pieces=("{}",)),
    )
)
GOLDEN = {
    vendor: [SseEvent((name or "").encode(), data.encode()) for name, data in events(vendor, REPLY)]
    for vendor in VENDORS
}
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def read(reader: Reader, stream: Iterable[SseEvent]) -> list[StepEvent]:
    found: list[StepEvent] = []
    for event in stream:
        found += reader.feed(event)
        if reader.done:
            return found
    return [*found, *reader.finish()]


def _read_until_fault(vendor: Vendor, stream: Iterable[SseEvent]) -> list[StepEvent]:
    reader = WIRES[vendor].reader(TARGET)
    found: list[StepEvent] = []
    try:
        for event in stream:
            found += reader.feed(event)
        found += reader.finish()
    except Fault:
        pass
    return found


@given(data=st.data(), vendor=st.sampled_from(VENDORS))
def test_events_missing_doubled_or_out_of_order_end_in_a_fault_or_in_sound_blocks(
    data: st.DataObject, vendor: Vendor
) -> None:
    stream = data.draw(st.lists(st.sampled_from(GOLDEN[vendor]), max_size=30))
    opened: set[int] = set()
    for event in _read_until_fault(vendor, stream):
        match event:
            case BlockStarted():
                assert event.index not in opened
                opened.add(event.index)
            case BlockDelta():
                assert event.index in opened
            case BlockEnded():
                opened.remove(event.index)
            case _:
                assert not opened


@given(data=st.data(), vendor=st.sampled_from(VENDORS))
def test_members_of_any_type_end_in_a_fault_or_are_read(data: st.DataObject, vendor: Vendor) -> None:
    import msgspec

    place = data.draw(st.integers(0, len(GOLDEN[vendor]) - 1))
    spoilt = GOLDEN[vendor][place]
    if spoilt.data == b"[DONE]":
        return
    document = msgspec.json.decode(spoilt.data)
    name = data.draw(st.sampled_from(sorted(set(document) - {"type"}) or ["x"]))
    document[name] = data.draw(_JSON)
    event = SseEvent(spoilt.name, msgspec.json.encode(document))
    _read_until_fault(vendor, [*GOLDEN[vendor][:place], event, *GOLDEN[vendor][place + 1 :]])


@given(junk=st.binary(max_size=60), name=st.sampled_from((b"", b"error", b"message_start", b"\xff")))
@pytest.mark.parametrize("vendor", VENDORS)
def test_bytes_of_any_kind_end_in_a_fault_or_are_skipped(vendor: Vendor, junk: bytes, name: bytes) -> None:
    _read_until_fault(vendor, [SseEvent(name, junk)])


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("depth", [100, 100_000])
def test_json_nested_too_deeply_ends_in_a_fault_or_is_skipped(vendor: Vendor, depth: int) -> None:
    data = b'{"type": "error", "error": ' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(Fault):
        read(WIRES[vendor].reader(TARGET), [SseEvent(b"", data)])


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_stream_that_stops_before_its_last_event_is_truncated(vendor: Vendor) -> None:
    whole = GOLDEN[vendor]
    last = next(n for n in range(len(whole) + 1) if _whole(vendor, whole[:n]))
    for length in range(last):
        with pytest.raises(Fault) as raised:
            read(WIRES[vendor].reader(TARGET), whole[:length])
        assert raised.value.kind == "truncated"


def _whole(vendor: Vendor, stream: list[SseEvent]) -> bool:
    try:
        return bool(read(WIRES[vendor].reader(TARGET), stream))
    except Fault:
        return False


# What compatible servers do ---------------------------------------------------------------------------


def _chat(*chunks: str) -> list[StepEvent]:
    return read(ChatReader("p"), [SseEvent(b"", chunk.encode()) for chunk in chunks])


def _delta(members: str, finish: str = "null") -> str:
    return '{"choices": [{"index": 0, "delta": {' + members + '}, "finish_reason": ' + finish + "}]}"


TWO_CALLS = ["BlockStarted tool_input", "BlockDelta", "BlockEnded"] * 2 + ["StepCompleted"]


@pytest.mark.parametrize(
    "calls",
    [
        ('{"index": 0, "id": "a", %s}, {"index": 1, "id": "b", %s}',),
        ('{"id": "a", %s}, {"id": "b", %s}',),
        ('{"index": 0, "id": "a", %s}', '{"index": 0, "id": "b", %s}'),
        ("{%s}", "{%s}"),
        ('{"index": 0, "id": null, %s}', '{"index": 1, "id": "", %s}'),
    ],
    ids=["both in one chunk", "without indexes", "all with index 0", "without ids", "with null for ids"],
)
def test_whole_calls_are_told_apart_however_a_server_names_them(calls: tuple[str, ...]) -> None:
    function = '"type": "function", "function": {"name": "t", "arguments": "{\\"a\\": 1}"}'
    chunks = [_delta(f'"tool_calls": [{call.replace("%s", function)}]') for call in calls]
    found = _chat(*chunks, _delta("", '"stop"'), "[DONE]")
    assert kinds(found) == TWO_CALLS
    assert found[-1].stop_reason == "tool_use"  # type: ignore[union-attr]


def test_arguments_that_grow_side_by_side_come_out_each_whole() -> None:
    def piece(index: int, text: str, name: str = "") -> str:
        named = f'"name": "{name}", ' if name else ""
        return _delta(f'"tool_calls": [{{"index": {index}, "function": {{{named}"arguments": "{text}"}}}}]')

    found = _chat(
        piece(0, "{", "t"),
        piece(1, "{", "t"),
        piece(0, "}"),
        piece(1, "}"),
        _delta("", '"tool_calls"'),
    )
    texts = {
        index: "".join(e.text for e in found if isinstance(e, BlockDelta) and e.index == index)
        for index in (0, 1)
    }
    assert texts == {0: "{}", 1: "{}"}


def test_arguments_as_an_object_are_written_as_json() -> None:
    call = '{"index": 0, "function": {"name": "t", "arguments": {"a": 1}}}'
    found = _chat(_delta(f'"tool_calls": [{call}]', '"tool_calls"'))
    assert [event.text for event in found if isinstance(event, BlockDelta)] == ['{"a":1}']


def test_reasoning_is_found_under_its_other_name_and_usage_in_every_chunk_counts_once() -> None:
    usage = '"usage": {"prompt_tokens": 3, "completion_tokens": %d}}'
    first = _delta('"reasoning": "hm", "content": null')[:-1] + ", " + usage % 1
    last = _delta('"content": "x"', '"stop"')[:-1] + ", " + usage % 2
    found = _chat(first, last)
    assert kinds(found)[0] == "BlockStarted thinking"
    assert found[-1].usage.output == 2  # type: ignore[union-attr]


def test_without_usage_there_is_an_estimate_that_says_so() -> None:
    found = _chat(_delta('"content": "12345678"', '"stop"'), "[DONE]")
    usage = found[-1].usage  # type: ignore[union-attr]
    assert (usage.output, usage.estimated) == (2, True)
