"""The executor: checked input, bounded time, number and size, and errors that stay with their call."""

import gc
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.executor import Executor, PreparedCall, SessionExecutor, ToolRefusal
from holdfast_daemon.tools.base import ToolContext, ToolFailure, ToolResult
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import ErrorInfo, Location, ToolKind


class ProbeInput(msgspec.Struct, forbid_unknown_fields=True):
    """What a probe is given."""

    word: str = ""
    timeout_s: float | None = None


class Probe:
    """A tool that does what a test says."""

    name = "probe"
    description = "Does what the test says."
    kind: ToolKind = "other"
    input_type = ProbeInput

    def __init__(self, act: Callable[[str, ToolContext], Awaitable[str]], name: str = "probe") -> None:
        self._act = act
        self.name = name

    def title(self, tool_input: ProbeInput) -> str:
        return f"probe {tool_input.word}"

    def locations(self, tool_input: ProbeInput, cwd: str) -> tuple[Location, ...]:
        return (Location(path=f"{cwd}/{tool_input.word}"),)

    async def run(self, tool_input: ProbeInput, context: ToolContext) -> ToolResult:
        return ToolResult(content=(TextBlock(text=await self._act(tool_input.word, context)),))


class Rendezvous:
    """An act that reports its start and goes on when told."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: list[str] = []
        self._go_on = anyio.Event()
        self._changed = anyio.Event()

    async def act(self, word: str, context: ToolContext) -> str:
        del context
        self.started.append(word)
        self._changed.set()
        try:
            await self._go_on.wait()
        finally:
            self.ended.append(word)
        return word

    async def until_started(self, count: int) -> None:
        with anyio.fail_after(10):
            while len(self.started) < count:
                self._changed = anyio.Event()
                await self._changed.wait()
        await anyio.wait_all_tasks_blocked()

    def go_on(self) -> None:
        self._go_on.set()


async def echo(word: str, context: ToolContext) -> str:
    del context
    return word


async def ignore(text: str) -> None:
    del text


def context(output: Callable[[str], Awaitable[None]] = ignore) -> ToolContext:
    return ToolContext(tool_call_id="c1", cwd="/w", roots=("/w",), env={}, output=output)


def executor(act: Callable[[str, ToolContext], Awaitable[str]] = echo, **limits: Any) -> Executor:
    return Executor((Probe(act),), ExecutionLimits(**limits))


def prepared(given_executor: Executor, word: str = "", **members: Any) -> PreparedCall:
    text = msgspec.json.encode({"word": word, **members}).decode()
    call = given_executor.prepare("probe", text, "/w")
    assert isinstance(call, PreparedCall)
    return call


async def run(given_executor: Executor, word: str = "", **members: Any) -> ToolResult | ErrorInfo:
    with anyio.fail_after(10):
        return await given_executor.session().run(prepared(given_executor, word, **members), context())


def text_of(outcome: ToolResult | ErrorInfo) -> str:
    assert isinstance(outcome, ToolResult)
    return "".join(block.text for block in outcome.content if isinstance(block, TextBlock))


# Checks before a call -------------------------------------------------------------------------------------


def test_models_are_told_of_the_tools_in_a_stable_order() -> None:
    both = Executor((Probe(echo, "b"), Probe(echo, "a")), ExecutionLimits())
    assert [spec.name for spec in both.specs()] == ["b", "a"]
    assert both.specs()[0].input_schema["properties"].keys() == {"word", "timeout_s"}


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="one name"):
        Executor((Probe(echo), Probe(echo)), ExecutionLimits())


def test_a_prepared_call_says_what_it_will_do() -> None:
    call = executor().prepare("probe", '{"word": "x"}', "/w")
    assert isinstance(call, PreparedCall)
    assert call.tool_input == ProbeInput(word="x")
    assert (call.raw_input, call.title, call.kind) == ({"word": "x"}, "probe x", "other")
    assert call.locations == (Location(path="/w/x"),)
    assert call.timeout_s == ExecutionLimits().timeout_s


def test_an_empty_input_means_no_arguments() -> None:
    assert isinstance(executor().prepare("probe", "", "/w"), PreparedCall)


@pytest.mark.parametrize(
    ("tool", "text", "kind", "message"),
    [
        ("prob", "{}", "unknown_tool", "did you mean probe?"),
        ("zzz", "{}", "unknown_tool", "there are: probe"),
        ("zzz", "{", "invalid_input", "not valid JSON"),
        ("probe", "{", "invalid_input", "not valid JSON"),
        ("probe", '{"word": 1}', "invalid_input", "at `$.word`"),
        ("probe", '{"wrod": "x"}', "invalid_input", "unknown field `wrod`"),
        ("probe", "[]", "invalid_input", "at `$`"),
        ("probe", '{"timeout_s": 0}', "invalid_input", "at `$.timeout_s`"),
    ],
)
def test_a_call_that_cannot_run_is_refused(tool: str, text: str, kind: str, message: str) -> None:
    refusal = executor().prepare(tool, text, "/w")
    assert isinstance(refusal, ToolRefusal)
    assert refusal.tool == tool
    assert refusal.error.kind == kind
    assert message in refusal.error.message


def test_a_refusal_keeps_the_input_as_json_or_as_text() -> None:
    refused = executor().prepare("probe", '{"word": 1}', "/w")
    assert isinstance(refused, ToolRefusal)
    assert refused.raw_input == {"word": 1}
    broken = executor().prepare("probe", '{"word"', "/w")
    assert isinstance(broken, ToolRefusal)
    assert broken.raw_input == '{"word"'


@given(st.text(max_size=20), st.text(max_size=30) | st.from_regex(r'\{"word": ("a"|1|\[)\}?'))
def test_preparing_never_raises_and_never_runs(tool: str, text: str) -> None:
    async def never(_word: str, _context: ToolContext) -> str:
        raise AssertionError("ran")

    executor(never).prepare(tool, text, "/w")
    executor(never).prepare("probe", text, "/w")


# Time -----------------------------------------------------------------------------------------------------


def test_a_call_may_ask_for_the_longest_time_out_and_not_for_more() -> None:
    probe = executor(timeout_s_max=10.0)
    assert prepared(probe, timeout_s=10.0).timeout_s == 10.0
    refusal = probe.prepare("probe", '{"timeout_s": 10.001}', "/w")
    assert isinstance(refusal, ToolRefusal)
    assert refusal.error.message == "Expected 0 < timeout_s <= 10 - at `$.timeout_s`"


async def test_a_call_is_stopped_when_its_time_is_over() -> None:
    rendezvous = Rendezvous()
    probe = executor(rendezvous.act)
    outcome = await run(probe, "x", timeout_s=0.01)
    assert isinstance(outcome, ErrorInfo)
    assert outcome.kind == "timeout"
    assert "0.01 s" in outcome.message
    assert rendezvous.ended == ["x"]
    assert probe.statistics().running == 0


async def test_waiting_for_room_is_not_counted_as_run_time() -> None:
    rendezvous = Rendezvous()

    async def act(word: str, context: ToolContext) -> str:
        return await rendezvous.act(word, context) if word == "a" else "ran"

    probe = executor(act, calls_max=1)
    outcomes: list[ToolResult | ErrorInfo] = []

    async def second() -> None:
        outcomes.append(await probe.session().run(prepared(probe, "b", timeout_s=1e-9), context()))

    async with anyio.create_task_group() as group:
        group.start_soon(run, probe, "a")
        await rendezvous.until_started(1)
        group.start_soon(second)
        await anyio.wait_all_tasks_blocked()  # Far longer than the second call may run.
        assert outcomes == []
        rendezvous.go_on()
    assert [text_of(outcome) for outcome in outcomes] == ["ran"]


# Number ---------------------------------------------------------------------------------------------------


async def test_a_session_runs_as_many_calls_as_it_may_and_the_next_one_waits() -> None:
    rendezvous = Rendezvous()
    probe = executor(rendezvous.act, calls_per_session_max=3)
    session = probe.session()
    async with anyio.create_task_group() as group:
        for word in "abcd":
            group.start_soon(session.run, prepared(probe, word), context())
        await rendezvous.until_started(3)
        assert rendezvous.started == ["a", "b", "c"]
        assert (session.statistics().running, session.statistics().waiting) == (3, 1)
        rendezvous.go_on()
    assert rendezvous.ended[-1] == "d"
    assert session.statistics().running == 0


async def test_the_daemon_runs_as_many_calls_as_it_may_over_all_sessions() -> None:
    rendezvous = Rendezvous()
    probe = executor(rendezvous.act, calls_per_session_max=4, calls_max=3)
    async with anyio.create_task_group() as group:
        for word in "abcd":
            group.start_soon(probe.session().run, prepared(probe, word), context())
        await rendezvous.until_started(3)
        assert len(rendezvous.started) == 3
        assert (probe.statistics().running, probe.statistics().waiting) == (3, 1)
        rendezvous.go_on()
    assert len(rendezvous.ended) == 4
    assert probe.statistics().running == 0


async def test_calls_that_wait_for_their_own_session_take_no_room_from_others() -> None:
    rendezvous = Rendezvous()
    probe = executor(rendezvous.act, calls_per_session_max=1, calls_max=2)
    greedy = probe.session()
    async with anyio.create_task_group() as group:
        for word in "abcdef":
            group.start_soon(greedy.run, prepared(probe, word), context())
        await rendezvous.until_started(1)
        group.start_soon(probe.session().run, prepared(probe, "other"), context())
        await rendezvous.until_started(2)
        assert rendezvous.started == ["a", "other"]
        rendezvous.go_on()


async def test_a_session_that_is_dropped_leaves_nothing_behind() -> None:
    probe = executor()
    session = probe.session()
    await session.run(prepared(probe, "x"), context())
    gone = weakref.ref(session)
    del session
    gc.collect()
    assert gone() is None
    assert probe.statistics().running == 0


async def test_a_cancelled_call_cleans_up_and_gives_its_room_back() -> None:
    rendezvous = Rendezvous()
    probe = executor(rendezvous.act, calls_per_session_max=1)
    session = probe.session()
    async with anyio.create_task_group() as group:
        for word in "ab":
            group.start_soon(session.run, prepared(probe, word), context())
        await rendezvous.until_started(1)
        group.cancel_scope.cancel()
    assert rendezvous.started == rendezvous.ended == ["a"]
    assert (session.statistics().running, session.statistics().waiting) == (0, 0)
    assert probe.statistics().running == 0


async def test_a_call_may_run_another_call() -> None:
    handed: list[SessionExecutor] = []

    async def nest(word: str, context: ToolContext) -> str:
        if word == "inner":
            return "from inside"
        return text_of(await handed[0].run(prepared(probe, "inner"), context))

    probe = executor(nest)
    handed.append(probe.session())
    with anyio.fail_after(10):
        assert text_of(await handed[0].run(prepared(probe, "outer"), context())) == "from inside"


# Size -----------------------------------------------------------------------------------------------------


async def test_a_result_is_whole_up_to_the_limit_and_cut_past_it() -> None:
    probe = executor(result_bytes_max=1000)
    whole = await run(probe, "x" * 1000)
    assert isinstance(whole, ToolResult)
    assert (text_of(whole), whole.truncated) == ("x" * 1000, False)
    cut = await run(probe, "x" * 1001)
    assert isinstance(cut, ToolResult)
    assert cut.truncated
    assert len(text_of(cut).encode()) <= 1000
    assert "bytes left out" in text_of(cut)


async def test_output_is_passed_on_up_to_the_limit_and_the_rest_is_counted() -> None:
    seen: list[str] = []

    async def keep(text: str) -> None:
        seen.append(text)

    async def talk(word: str, context: ToolContext) -> str:
        for _ in range(int(word)):
            await context.output("abcd")
        return "done"

    probe = executor(talk, output_kept_chars_max=8)
    await probe.session().run(prepared(probe, "2"), context(keep))
    assert seen == ["abcd", "abcd"]
    seen.clear()
    await probe.session().run(prepared(probe, "5"), context(keep))
    assert seen == ["abcd", "abcd", "\n[12 more characters of output were not kept]\n"]


async def test_a_piece_that_crosses_the_limit_is_cut() -> None:
    seen: list[str] = []

    async def keep(text: str) -> None:
        seen.append(text)

    async def talk(word: str, context: ToolContext) -> str:
        await context.output(word)
        return ""

    probe = executor(talk, output_kept_chars_max=8)
    await probe.session().run(prepared(probe, "123456789"), context(keep))
    assert seen == ["12345678", "\n[1 more characters of output were not kept]\n"]


# Errors ---------------------------------------------------------------------------------------------------


async def test_an_expected_failure_comes_back_with_its_kind_and_words() -> None:
    async def fail(word: str, _context: ToolContext) -> str:
        raise ToolFailure(f"no {word}", kind="not_found")

    assert await run(executor(fail), "x") == ErrorInfo(kind="not_found", message="no x")


async def test_a_long_failure_message_is_cut() -> None:
    async def fail(_word: str, _context: ToolContext) -> str:
        raise ToolFailure("x" * 100_000)

    outcome = await run(executor(fail))
    assert isinstance(outcome, ErrorInfo)
    assert len(outcome.message) <= 8 * 1024


async def test_a_bug_in_a_tool_fails_its_call_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def crash(_word: str, _context: ToolContext) -> str:
        raise ZeroDivisionError("secret detail")

    probe = executor(crash)
    with caplog.at_level(logging.ERROR):
        outcome = await run(probe)
    assert outcome == ErrorInfo(kind="tool_failed", message="the tool probe has a bug: ZeroDivisionError")
    assert "secret detail" in caplog.text
    assert probe.statistics().running == 0


async def test_a_failure_does_not_hide_the_count_of_dropped_output() -> None:
    seen: list[str] = []

    async def keep(text: str) -> None:
        seen.append(text)

    async def fail(_word: str, context: ToolContext) -> str:
        await context.output("abc")
        raise ToolFailure("no")

    probe = executor(fail, output_kept_chars_max=1)
    await probe.session().run(prepared(probe), context(keep))
    assert seen == ["a", "\n[2 more characters of output were not kept]\n"]
