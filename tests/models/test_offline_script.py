"""The script format (docs/offline.md): what it plays, what it refuses, and where its bounds are."""

from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from offline_conversation import check, converse, message_of, prompt, respond, stream, text_of

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.executor import Executor
from holdfast_daemon.models.base import (
    BlockDelta,
    BlockEnded,
    BlockStarted,
    ModelError,
    StepCompleted,
    ToolCallPart,
)
from holdfast_daemon.models.offline_playback import Forever, Pace, Pause, Playback
from holdfast_daemon.models.offline_script import STEPS_MAX, is_script, parse_script
from holdfast_daemon.models.offline_steps import BadScript
from holdfast_daemon.tools.builtin import builtin_tools
from holdfast_protocol.events import Cost, Usage


def script(*lines: str) -> str:
    return "\n".join(["script:", *lines])


def play(text: str, step: int = 0) -> list[Any]:
    return list(Playback(parse_script(text)[step], 0).items())


def refusal(text: str) -> str:
    with pytest.raises(BadScript) as caught:
        parse_script(text)
    return str(caught.value)


async def failure(text: str) -> tuple[list[Any], ModelError]:
    """Give what came before the model failed, and the failure."""
    events: list[Any] = []
    try:
        async for event in stream([prompt(text)]):
            events.append(event)  # noqa: PERF401 - what came before the failure must stay
    except ModelError as error:
        return events, error
    raise AssertionError("the model did not fail")


def texts(items: list[Any]) -> list[str]:
    return [item.text for item in items if isinstance(item, BlockDelta)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("script:\n- text: a", True),
        ("\n# about\n---\nscript:  # here\n- text: a", True),
        ("script: write me a play", False),
        ("scripts:\n- text: a", False),
        ("say script:\n", False),
        (" script:\n- text: a", False),
        ("", False),
    ],
)
def test_a_prompt_is_a_script_if_its_first_line_says_so(text: str, expected: bool) -> None:
    assert is_script(text) is expected


async def test_a_script_is_streamed_exactly_as_it_is_written() -> None:
    events = await respond([prompt(script("- text: hello"))])
    check(events)
    assert text_of(message_of(events)) == "hello"
    assert events[-1].stop_reason == "end_turn"


async def test_actions_play_in_the_order_in_which_they_stand() -> None:
    events = await respond([prompt(script("- text: a", "  thinking: b", "  call: {tool: t}"))])
    assert [event.kind for event in events if isinstance(event, BlockStarted)] == [
        "text", "thinking", "tool_input",
    ]  # fmt: skip
    again = await respond([prompt(script("- - text: a", "  - text: b", "    thinking: c"))])
    assert texts(again) == ["a", "b", "c"]


async def test_the_place_in_a_script_is_the_number_of_responses_since_its_prompt(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x\n")
    text = script("- call: {tool: read, input: {path: f}}", "- call: {tool: read, raw: '{'}", "- text: done")
    executor = Executor(builtin_tools(ExecutionLimits()), ExecutionLimits())
    messages = await converse(text, executor, tmp_path)
    assert len(messages) == 6
    assert [part.is_error for part in messages[2].results] == [False]
    assert "not valid JSON" in messages[4].results[0].content[0].text
    assert text_of(messages[5]) == "done"


async def test_after_its_last_step_a_script_says_that_it_has_ended() -> None:
    first = prompt(script("- text: only"))
    answer = message_of(await respond([first]))
    assert "no more steps" in text_of(message_of(await respond([first, answer])))


async def test_several_calls_in_one_step_are_parallel() -> None:
    lines = ("- call:", "  - {tool: a, input: {n: 1}}", "  - {tool: b, raw: 'not json'}")
    events = await respond([prompt(script(*lines))])
    calls = [part for part in message_of(events).parts if isinstance(part, ToolCallPart)]
    assert [(call.tool, call.input_json) for call in calls] == [("a", '{"n":1}'), ("b", "not json")]
    assert events[-1].stop_reason == "tool_use"


def test_a_signature_comes_back_with_the_end_of_the_thinking_block() -> None:
    ended = [i for i in play(script("- thinking: {value: v, signature: s}")) if isinstance(i, BlockEnded)]
    assert ended == [BlockEnded(index=0, provider="offline", opaque={"signature": "s"})]


def test_a_text_is_cut_repeated_and_paced() -> None:
    items = play(script("- text: {value: abcd, delta_chars: 3, repeat: 2, delay_ms: 20}"))
    assert texts(items) == ["abc", "d", "abc", "d"]
    assert [item.seconds for item in items if isinstance(item, Pause)] == [0.02] * 3
    assert isinstance(items[1], BlockDelta)


async def test_delays_are_waited_for_and_leave_nothing_out() -> None:
    with anyio.fail_after(10):
        events = await respond([prompt(script("- text: {value: abc, delta_chars: 1, delay_ms: 1}"))])
    assert texts(events) == ["a", "b", "c"]


def test_usage_cost_and_stop_reason_replace_the_estimate() -> None:
    (*_, completed) = play(script("- usage: {input: 7, cache_write_5m: 2}", "  cost: 0.5", "  stop: refusal"))
    assert completed == StepCompleted(
        stop_reason="refusal", usage=Usage(input=7, cache_write_5m=2), cost=Cost(amount=0.5)
    )


async def test_an_error_comes_after_the_deltas_before_it_and_leaves_the_block_open() -> None:
    lines = (
        "- text: {value: half, delta_chars: 2, end: false}",
        "  error: {kind: rate_limited, message: slow down, retryable: true, retry_after_ms: 9, status: 429}",
    )
    events, error = await failure(script(*lines))
    assert texts(events) == ["ha", "lf"]
    assert not any(isinstance(event, BlockEnded) for event in events)
    info = error.info
    assert (info.kind, info.message, info.retryable, info.retry_after_ms, info.status, info.provider) == (
        "rate_limited", "slow down", True, 9, 429, "offline",
    )  # fmt: skip


async def test_garbage_is_a_protocol_error() -> None:
    _, error = await failure(script("- garbage: what is this"))
    assert (error.info.kind, error.info.message) == ("protocol", "what is this")


async def test_a_hanging_step_waits_until_it_is_cancelled() -> None:
    reached = anyio.Event()
    ended = False

    async def consume() -> None:
        nonlocal ended
        async for event in stream([prompt(script("- text: x", "  hang: true"))]):
            if isinstance(event, BlockEnded):
                reached.set()
        ended = True

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(consume)
            await reached.wait()
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert not ended
    assert isinstance(play(script("- hang: true"))[0], Forever)


@pytest.mark.parametrize("rate", ["", ", per_second: 20000", ", per_second: 7", ", per_second: 1000000"])
def test_interleaved_deltas_never_follow_one_of_their_own_block(rate: str) -> None:
    items = play(script(f"- interleave: {{blocks: 3, count: 1000, text: ab{rate}}}"))
    deltas = [item for item in items if isinstance(item, BlockDelta)]
    assert len(deltas) == 1000
    assert {delta.text for delta in deltas} == {"ab"}
    assert all(one.index != other.index for one, other in pairwise(deltas))
    assert {delta.index for delta in deltas} == {0, 1, 2}
    assert items[-1].usage.output == 500


def test_a_paced_stream_comes_in_bursts_at_its_rate() -> None:
    items = play(script("- interleave: {count: 20000, per_second: 20000}"))
    elapsed = [item.elapsed_s for item in items if isinstance(item, Pace)]
    assert elapsed == pytest.approx([tick / 100 for tick in range(100)])
    streamed = 0
    for item in items:
        streamed += isinstance(item, BlockDelta)
        if isinstance(item, Pace):
            assert streamed == pytest.approx(item.elapsed_s * 20_000)


def test_the_longest_interleaving_takes_no_memory_ahead() -> None:
    (step,) = parse_script(script("- interleave: {count: 10000000}"))
    first = list(islice(Playback(step, 0).items(), 1000))
    assert len(first) == 1000


def test_repeated_steps_play_as_often_as_they_say() -> None:
    steps = parse_script(
        script(
            "- repeat: 2", "  steps:", "  - text: a", "  - repeat: 2", "    steps: [{text: b}]", "- text: c"
        )
    )
    assert [step[0].value for step in steps] == ["a", "b", "b", "a", "b", "b", "c"]


def test_steps_are_bounded_also_through_repetition() -> None:
    assert len(parse_script(script(f"- repeat: {STEPS_MAX}", "  steps: [{text: a}]"))) == STEPS_MAX
    one_more = script(f"- repeat: {STEPS_MAX}", "  steps: [{text: a}]", "- text: b")
    assert refusal(one_more) == f"line 4: more than {STEPS_MAX} steps"
    nested = script("- repeat: 200", "  steps:", "  - repeat: 200", "    steps: [{text: a}]")
    assert refusal(nested) == f"line 2: more than {STEPS_MAX} steps"
    huge = script(
        *(f"{'    ' * n}- repeat: 10000\n{'    ' * n}  steps:" for n in range(4)), " " * 16 + "- text: a"
    )
    assert refusal(huge) == f"line 6: more than {STEPS_MAX} steps"


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        ("- text: {{value: '', delta_chars: {}}}", 65_536),
        ("- text: {{value: '', delay_ms: {}}}", 600_000),
        ("- text: {{value: '', repeat: {}}}", 1_000_000),
        ("- interleave: {{count: {}}}", 10_000_000),
        ("- interleave: {{count: 1, blocks: {}}}", 64),
        ("- interleave: {{count: 1, per_second: {}}}", 1_000_000),
        ("- usage: {{output: {}}}", 1_000_000_000),
        ("- cost: {}", 1_000_000),
        ("- error: {{kind: k, message: m, retry_after_ms: {}}}", 3_600_000),
    ],
)
def test_every_number_is_taken_at_its_limit_and_refused_one_past(line: str, limit: int) -> None:
    assert len(parse_script(script(line.format(limit)))) == 1
    assert refusal(script(line.format(limit + 1))).startswith("line 2: ")
    documented = Path(__file__).parents[2] / "docs" / "offline.md"
    assert f"{limit:,}" in documented.read_text() or f" {limit} " in documented.read_text()


def test_texts_are_bounded() -> None:
    body = "x" * (65_536 - len(script("- text: ")))
    assert len(parse_script(script(f"- text: {body}"))) == 1
    assert "longer than 65536 characters" in refusal(script(f"- text: {body}x"))
    assert len(parse_script(script("- interleave: {count: 1, text: " + "x" * 4096 + "}"))) == 1
    assert "length <= 4096" in refusal(script("- interleave: {count: 1, text: " + "x" * 4097 + "}"))


def test_what_repeat_streams_is_bounded() -> None:
    value = "x" * 64
    assert len(parse_script(script(f"- text: {{value: {value}, repeat: 1000000}}"))) == 1
    refused = refusal(script(f"- text: {{value: {value}{value}, repeat: 1000000}}"))
    assert "over 67108864 characters in all" in refused


def test_actions_in_a_step_are_bounded() -> None:
    assert len(parse_script(script("-", *["  - text: a"] * 1000))[0]) == 1000
    assert "more than 1000 actions" in refusal(script("-", *["  - text: a"] * 1001))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["- txet: a"], "line 2: unknown key `txet` in an action; did you mean `text`?"),
        (["- text: a", "- call:", "    tool: t", "    inptu: {}"],
         "line 5: unknown key `inptu` in `call`; did you mean `input`?"),
        (["- repeat: 2", "  stepz: []"],
         "line 3: unknown key `stepz` in a repetition; did you mean `steps`?"),
        (["- repeat: 2"], "line 2: a repetition needs the key `steps`"),
        (["- repeat: 0", "  steps: [{text: a}]"], "line 2: `repeat` takes a number from 1 to 10000"),
        (["- repeat: true", "  steps: [{text: a}]"], "line 2: `repeat` takes a number from 1 to 10000"),
        (["- text: a", "scripts: []"],
         "line 3: unknown key `scripts` in the document; did you mean `script`?"),
        (["- text: 5"], "line 2: `text`: Expected `str`, got `int` - at `$.value`"),
        (["- text:", "    value: a", "    repeat: 0"],
         "line 4: `text`: Expected `int` >= 1 - at `$.repeat`"),
        (["- usage: 5"], "line 2: `usage` takes a map"),
        (["- stop: soon"], "line 2: `stop`: Invalid enum value 'soon' - at `$.reason`"),
        (["- hang: false"], "line 2: `hang`: takes only `true`"),
        (["- call: {tool: t, input: {}, raw: ''}"], "line 2: `call`: has both `input` and `raw`"),
        (["- text: {value: a, end: false}"],
         "line 2: after `end: false` must come `error`, `hang` or `garbage`"),
        (["- error: {kind: k, message: m}", "  text: {value: a, end: false}"],
         "line 2: after `end: false` must come `error`, `hang` or `garbage`"),
        (["- just words"], "line 2: `a step` takes a list"),
        (["- - just words"], "line 2: a step is a map of actions, or a list of such maps"),
        ([], "line 1: `script` takes a list"),
        (["- text: a", "  text: b"], "line 3: the key `text` stands twice"),
        (["- text: &x a", "- text: *x"], "line 2: aliases are not allowed"),
        (["- text: 2026-11-20"], "line 2: a timestamp is not allowed; quote it to make it a string"),
        (["- call: {tool: t, input: {n: .inf}}"], "line 2: JSON has no such number or character"),
        (["- call: {tool: t, input: {n: 18446744073709551616}}"],
         "line 2: JSON has no such number or character"),
        (['- text: "\\ud800"'], "line 2: JSON has no such number or character"),
        (["- call: {tool: t, input: {1: a}}"], "line 2: a key must be a string"),
        (["- {text: a"], "line 2: expected ',' or '}', but got '<stream end>'"),
        (["- " + "[" * 5000], "nested too deeply"),
    ],
)  # fmt: skip
def test_a_bad_script_is_refused_with_its_line(lines: list[str], message: str) -> None:
    assert refusal(script(*lines)) == message


async def test_a_bad_script_ends_the_step_with_an_error_of_that_kind() -> None:
    events, error = await failure(script("- txet: a"))
    assert events == []
    assert error.info.kind == "bad_script"
    assert not error.info.retryable
    assert "did you mean `text`" in error.info.message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70_000) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["text", "call", "tool", "input", "value", "repeat", "steps", "hang", "end", "error"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(st.text(max_size=80) | json_values)
def test_whatever_stands_in_a_script_it_is_refused_or_played_to_its_end(body: Any) -> None:
    """JSON is YAML, so any tree can be written down as JSON."""
    import msgspec

    written = body if isinstance(body, str) else msgspec.json.encode(body).decode()
    try:
        steps = parse_script(f"script:\n {written}")
    except BadScript:
        return
    for step in steps[:20]:
        try:
            items = [
                item for item in islice(Playback(step, 0).items(), 10_000) if not isinstance(item, Pause)
            ]
        except ModelError:
            continue
        if len(items) < 10_000 and not any(isinstance(item, Forever) for item in items):
            check(items)


async def test_the_same_script_gives_the_same_events() -> None:
    text = script("- thinking: {value: v, signature: s, delta_chars: 1}", "  interleave: {count: 500}")
    assert await respond([prompt(text)]) == await respond([prompt(text)])
