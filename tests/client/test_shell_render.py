"""Events as text. The events are the real types, in their wire form."""

import io
from typing import Any

import pytest
from shell_world import wire_form

from holdfast_client.shell.render import TOOL_OUTPUT_LINES_MAX, Renderer, closing_line
from holdfast_client.shell.screen import open_screen
from holdfast_protocol import events
from holdfast_protocol.content import ResourceLinkBlock, TextBlock
from holdfast_protocol.events import Cost, ErrorInfo, SandboxInfo, Usage


class Shown:
    """A renderer onto two strings."""

    def __init__(self, *, color: str = "never", activity_is_data: bool = False) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        screen = open_screen(self._out, self._err, color, {}, activity_is_data=activity_is_data)
        self.renderer = Renderer(screen, show_prompts=True)

    def show(self, *shown: events.EventBase) -> "Shown":
        for seq, event in enumerate(shown, 1):
            self.renderer.show(wire_form(event, seq, "r1"))
        return self

    @property
    def out(self) -> str:
        return self._out.getvalue()

    @property
    def err(self) -> str:
        return self._err.getvalue()


def start(kind: Any = "text", block_id: str = "b1") -> events.ContentBlockStart:
    return events.ContentBlockStart(block_id=block_id, message_id="m1", step=1, kind=kind)


def delta(offset: int, text: str, block_id: str = "b1") -> events.TokenDelta:
    return events.TokenDelta(block_id=block_id, offset=offset, text=text)


def end(text: str, kind: Any = "text", block_id: str = "b1") -> events.ContentBlockEnd:
    return events.ContentBlockEnd(block_id=block_id, message_id="m1", step=1, kind=kind, text=text)


def call(title: str = "ls -la") -> events.ToolCallStarted:
    return events.ToolCallStarted(
        tool_call_id="t1", step=1, tool="shell", kind="execute", input={}, title=title
    )


def result(text: str = "", **members: Any) -> events.ToolCallCompleted:
    blocks = (TextBlock(text=text),) if text else ()
    return events.ToolCallCompleted(tool_call_id="t1", result=blocks, duration_ms=600, **members)


def test_text_streams_as_it_comes_and_only_the_rest_comes_with_the_end() -> None:
    shown = Shown().show(start(), delta(0, "Hello, "), delta(7, "world"))

    assert shown.out == "Hello, world"
    assert shown.show(end("Hello, world!")).out == "Hello, world!\n"


def test_a_block_that_had_ended_before_is_shown_whole() -> None:
    assert Shown().show(start(), end("All of it.")).out == "All of it.\n"
    assert Shown().show(end("Without a start.")).out == "Without a start.\n"


def test_a_delta_that_repeats_what_was_shown_adds_only_what_is_new() -> None:
    """Merged deltas of a replay may overlap with what was seen live."""
    shown = Shown().show(start(), delta(0, "abc"), delta(0, "abcdef"), end("abcdef"))

    assert shown.out == "abcdef\n"


def test_offsets_count_code_points() -> None:
    assert Shown().show(start(), delta(0, "😀ü"), delta(2, "!"), end("😀ü!")).out == "😀ü!\n"


def test_thinking_is_no_part_of_the_answer() -> None:
    shown = Shown().show(
        start("thinking"),
        delta(0, "hm"),
        end("hm", "thinking"),
        start("text", "b2"),
        end("Yes.", "text", "b2"),
    )

    assert (shown.out, shown.err) == ("Yes.\n", "hm\n")


def test_thinking_is_dim_where_there_is_colour() -> None:
    shown = Shown(color="always").show(start("thinking"), delta(0, "hm"))

    assert shown.err == "\x1b[2mhm\x1b[0m"


def test_the_json_of_a_tool_s_input_is_not_shown() -> None:
    shown = Shown().show(start("tool_input"), delta(0, '{"a"'), end('{"a": 1}', "tool_input"))

    assert (shown.out, shown.err) == ("", "")


def test_a_tool_call_is_a_line_with_title_outcome_and_duration_and_its_output_indented() -> None:
    shown = Shown().show(call(), result("total 0\nfile\n"))

    assert shown.err == "* ls -la (ok, 600 ms)\n    total 0\n    file\n"
    assert shown.out == ""


def test_a_failed_call_says_why_and_shows_what_there_was() -> None:
    failed = events.ToolCallFailed(
        tool_call_id="t1",
        error=ErrorInfo(kind="timeout", message="took too long"),
        duration_ms=120_000,
        partial="half",
    )
    shown = Shown().show(call(), failed)

    assert shown.err == "* ls -la (failed: took too long, 2 min 00 s)\n    half\n"


def test_output_that_was_streamed_stands_in_for_an_empty_result() -> None:
    output = events.ToolOutput(tool_call_id="t1", offset=0, text="streamed\n")

    assert "    streamed\n" in Shown().show(call(), output, result()).err


def test_the_output_of_one_call_is_bounded_and_says_how_much_is_missing() -> None:
    many = "\n".join(f"line {number}" for number in range(1000))
    lines = Shown().show(call(), result(many)).err.splitlines()

    assert len(lines) == 1 + TOOL_OUTPUT_LINES_MAX + 1
    assert lines[-1] == f"    … {1000 - TOOL_OUTPUT_LINES_MAX} more lines"
    assert max(map(len, Shown().show(call(), result("x" * 100_000)).err.splitlines())) < 300


def test_streamed_output_is_held_only_up_to_a_bound() -> None:
    shown = Shown().show(call())
    for _ in range(100):
        shown.show(events.ToolOutput(tool_call_id="t1", offset=0, text="x" * 100_000))

    assert sum(len(held.output) for held in shown.renderer._calls.values()) <= 2 * 8192


def test_control_characters_of_a_tool_never_reach_the_terminal() -> None:
    shown = Shown().show(call("evil \x1b]0;title\x07\ntitle"), result("\x1b[2Jcleared\x07"))

    assert shown.err == "* evil title (ok, 600 ms)\n    cleared\n"


def test_errors_and_the_closing_line_go_to_standard_error_even_where_activity_is_data() -> None:
    shown = Shown(activity_is_data=True).show(
        call(),
        result(),
        events.Error(error=ErrorInfo(kind="overloaded", message="the provider is busy")),
        events.RunCancelled(by="editor"),
    )

    assert shown.out == "* ls -la (ok, 600 ms)\n"
    assert shown.err == "error: the provider is busy\ncancelled by editor\n"


def test_a_failed_run_says_why() -> None:
    failed = events.RunFailed(error=ErrorInfo(kind="auth", message="no key"), duration_ms=20)

    assert Shown().show(failed).err == "error: no key\nfailed after 20 ms\n"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            events.RunCompleted(
                stop_reason="end_turn",
                usage=Usage(input=1000, cache_read=200, cache_write_5m=34, output=56),
                duration_ms=12_400,
                steps=2,
                cost=Cost(amount=0.00314),
            ),
            "completed after 12.4 s, 1,234 tokens in (200 cached), 56 out, $0.0031",
        ),
        (
            events.RunCompleted(
                stop_reason="max_tokens", usage=Usage(input=1, estimated=True), duration_ms=5, steps=1
            ),
            "completed (max_tokens) after 5 ms, about 1 tokens in, 0 out",
        ),
        (events.RunInterrupted(cause="daemon_stopped"), "interrupted (daemon stopped)"),
    ],
)
def test_the_closing_line_has_outcome_time_tokens_and_a_cost_only_if_known(
    event: events.Terminal, line: str
) -> None:
    assert closing_line(wire_form(event)) == line


def prompt(prompt_id: str = "p1") -> events.PromptReceived:
    content = (TextBlock(text="two\nlines"), ResourceLinkBlock(uri="file:///a"))
    return events.PromptReceived(
        prompt_id=prompt_id, content=content, delivery="queue", status="started", by="editor"
    )


def test_prompts_of_others_are_shown_and_one_s_own_are_not() -> None:
    shown = Shown(activity_is_data=True)
    shown.renderer.own_prompts.add("mine")
    shown.show(prompt("mine"), prompt("theirs"))

    assert shown.out == "> two\n> lines\n> file:///a\n"


def test_a_session_s_beginning_says_what_confines_its_tools() -> None:
    started = events.SessionStarted(
        cwd="/src", agent="chat", model="offline/rehearsal", sandbox=SandboxInfo(kind="none")
    )

    assert Shown().show(started).err == "/src | offline/rehearsal | sandbox: none\n"


def test_unfinished_text_ends_before_a_tool_call_is_shown() -> None:
    shown = Shown(activity_is_data=True).show(start(), delta(0, "I will look"), call(), result())

    assert shown.out == "I will look\n* ls -la (ok, 600 ms)\n"


@pytest.mark.parametrize("tag", sorted(events.TAGS))
def test_no_event_of_the_protocol_is_a_surprise(tag: str) -> None:
    """Every type is shown or passed over, with nothing but its required members."""
    Shown().renderer.show(_least(events.TAGS[tag]))


def test_an_event_of_a_newer_daemon_shows_nothing() -> None:
    shown = Shown()
    shown.renderer.show({"type": "dreamt", "seq": 1, "at": 1})

    assert (shown.out, shown.err) == ("", "")


def _least(kind: type[events.EventBase]) -> dict[str, Any]:
    """Give an event of a type with its required members alone."""
    import msgspec

    samples: dict[str, Any] = {
        "result": [{"type": "text", "text": "x"}],
        "content": [{"type": "text", "text": "x"}],
        "error": {"kind": "k", "message": "m"},
        "usage": {},
        "sandbox": {"kind": "none"},
        "entries": [{"content": "c", "priority": "high", "status": "pending"}],
        "options": [],
        "kind": "text",
        "decision": "allow",
        "stopReason": "end_turn",
        "delivery": "queue",
        "status": "started",
    }
    if kind is events.RequestOpened:
        samples["kind"] = "permission"
    if kind is events.ToolCallStarted:
        samples["kind"] = "read"
    body: dict[str, Any] = {"type": str(kind.__struct_config__.tag), "seq": 1, "at": 1}
    for field in msgspec.structs.fields(kind):
        if field.required:
            body[field.encode_name] = samples.get(field.encode_name, _scalar(field.type))
    msgspec.convert(body, kind)  # The sample is one the daemon could send.
    return body


def _scalar(kind: Any) -> Any:
    return 1 if kind in (int, float) else "x"
