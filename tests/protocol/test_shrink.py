"""How a snapshot is kept under its limit, for any snapshot there can be (PROTOCOL.md, "Snapshots")."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast_protocol import content, events
from holdfast_protocol.shrink import _level, shrink
from holdfast_protocol.snapshot import (
    Child,
    CurrentRun,
    OpenBlock,
    OpenToolCall,
    QueuedPrompt,
    Settings,
    Snapshot,
)

FLOOR_BYTES = 2500
"""More than ids, names and the empty parts take in the snapshots below."""

texts = st.tuples(
    st.sampled_from(["a", "é", "漢", "🙂", "\x01", '"']), st.sampled_from([0, 1, 30, 900, 20_000])
).map(lambda drawn: drawn[0] * drawn[1])
counts = st.sampled_from([0, 1, 2, 40])


@st.composite
def snapshots(draw):
    def many(build):
        return tuple(build(number) for number in range(draw(counts)))

    text, long, wide = draw(texts), draw(texts), draw(texts)
    pair = (text, long)
    blocks = many(
        lambda number: OpenBlock(
            block_id=f"b{number}",
            message_id="m",
            step=1,
            kind="text",
            text=pair[number % 2],
            length=len(pair[number % 2]) + 7,
            tool=wide[:900],
        )
    )
    calls = many(
        lambda number: OpenToolCall(
            tool_call_id=f"c{number}",
            step=1,
            tool="t",
            kind="other",
            title=pair[number % 2][:900],
            input={"x": wide},
            text=text,
            length=len(text),
        )
    )
    run = CurrentRun(
        run_id="r",
        prompt_id="p",
        seq=1,
        started_at=1,
        status="running",
        agent="a",
        model="m",
        blocks=blocks,
        tool_calls=calls,
    )
    blocks_of_prompt = (
        content.TextBlock(text=long),
        content.ImageBlock(mime_type="image/png", data=text),
        content.TextBlock(text=wide),
    )
    return Snapshot(
        head=9,
        status="running",
        settings=Settings(
            cwd="/w",
            agent="a",
            model="m",
            sandbox=events.SandboxInfo(kind="none", detail=draw(texts) or None),
            title=draw(texts),
            meta={"x": draw(texts)},
            roots=(draw(texts),) * draw(counts),
        ),
        run=draw(st.sampled_from([run, None])),
        queue=many(
            lambda number: QueuedPrompt(
                prompt_id=f"p{number}", content=blocks_of_prompt[: number % 4], by="c", seq=1
            )
        ),
        requests=many(
            lambda number: events.RequestOpened(
                seq=1,
                at=1,
                request_id=f"q{number}",
                kind="question",
                title=text[:900],
                detail=pair[number % 2],
                options=(events.RequestOption(id="o", label=wide[:900], kind="choice"),) * (number % 3),
            )
        ),
        plan=many(
            lambda number: events.PlanEntry(content=pair[number % 2], priority="low", status="pending")
        ),
        children=many(lambda number: Child(agent="a", session_id=f"s{number}", epoch="e")),
    )


@settings(max_examples=200)
@given(snapshots(), st.integers(FLOOR_BYTES, 100_000))
def test_what_is_shortened_fits_and_says_what_it_lacks(whole, bytes_max):
    cut = shrink(whole, bytes_max)
    assert len(msgspec.json.encode(cut)) <= bytes_max
    for name in ("settings", "run", "queue", "requests", "plan", "children"):
        assert (getattr(cut, name) != getattr(whole, name)) == (name in cut.truncated)
    for name in ("head", "status", "last_run", "held", "usage", "runs", "older"):
        assert getattr(cut, name) == getattr(whole, name)


@settings(max_examples=200)
@given(snapshots(), st.integers(FLOOR_BYTES, 100_000))
def test_items_that_are_left_are_as_they_were_or_say_that_they_are_not(whole, bytes_max):
    cut = shrink(whole, bytes_max)
    for name in ("queue", "requests"):
        for left, was in zip(getattr(cut, name), getattr(whole, name), strict=False):
            assert left == was or left.truncated
    if cut.run is not None:
        for left, was in zip(cut.run.blocks, whole.run.blocks, strict=False):
            assert was.text.endswith(left.text)
            assert left == msgspec.structs.replace(was, text=left.text)
        for left, was in zip(cut.run.tool_calls, whole.run.tool_calls, strict=False):
            assert was.text.endswith(left.text)
            assert left.length == was.length
            assert left == msgspec.structs.replace(was, text=left.text) or left.truncated
    for left, was in zip(cut.plan, whole.plan, strict=False):
        assert was.content.startswith(left.content)
    assert cut.children == whole.children[: len(cut.children)]


@settings(max_examples=50)
@given(snapshots(), st.integers(FLOOR_BYTES, 100_000))
def test_what_fits_is_not_touched(whole, bytes_max):
    assert shrink(whole, len(msgspec.json.encode(whole))) is whole
    cut = shrink(whole, bytes_max)
    assert shrink(cut, bytes_max) is cut


@given(st.lists(st.integers(0, 1000), max_size=20), st.integers(0, 5000))
def test_room_is_shared_like_water(lengths, room):
    level = _level(lengths, room)
    used = sum(min(length, level) for length in lengths)
    assert used <= room
    if any(length > level for length in lengths):
        assert used + sum(length > level for length in lengths) > room
