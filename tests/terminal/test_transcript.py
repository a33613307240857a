"""Events as items, and items as lines: golden texts in 80 and 40 columns."""

from told import (
    Story,
    asked,
    block,
    called,
    completed,
    delta,
    end,
    failed,
    output,
    plan,
    request,
    resolved,
    returned,
    start,
)

from holdfast_protocol import events, view
from holdfast_protocol.content import TextBlock

ANSWER = """\
# Findings

The file `calc.py` **subtracts** where it should add; 世界 is a wide word that has to be wrapped well.

1. Read it.

2. Change it.

```python
def add(a, b):

    return a + b
```

Done."""


def whole_run() -> Story:
    return Story({"/p/calc.py": "a\nb\nc\n"}).tell(
        events.SessionStarted(
            cwd="/p", agent="chat", model="offline/rehearsal", sandbox=events.SandboxInfo(kind="none")
        ),
        asked("fix the test, please, and say what was wrong with it\nthank you"),
        events.RunStarted(prompt_id="p1", agent="chat", model="offline/rehearsal", run_id="run1"),
        *block("Where is it?", "thinking"),
        *block(ANSWER, deltas=40),
        request("edit calc.py", "edit", input={"path": "calc.py", "old": "b", "new": "B"}),
        resolved(scope="once"),
        called("edit calc.py", "edit", "edit"),
        returned(
            "edited", diff=(events.Diff(path="/p/calc.py", old_text="a\nb\nc\n", new_text="a\nB\nc\n"),)
        ),
        called("read calc.py", "read", "read"),
        returned("a\nB\nc\n"),
        called("run pytest -q"),
        output("half"),
        returned("\n".join(f"line {number}" for number in range(1, 13))),
        plan("completed", "in_progress", "pending"),
        completed(),
    )


def test_a_whole_run_in_80_columns():
    assert (
        whole_run().settled()
        == """\
  /p · offline/rehearsal · sandbox: none

> fix the test, please, and say what was wrong with it
  thank you

✻ Thought for 200 ms

# Findings

The file calc.py subtracts where it should add; 世界 is a wide word that has to
be wrapped well.

 1 Read it.
 2 Change it.

 def add(a, b):

     return a + b

Done.

  edit calc.py  +1 -1
    @@ -1,3 +1,3 @@
     a
    -b
    +B
     c

  allowed once: edit calc.py

✓ edit calc.py  +1 -1  1.2 s
✓ read calc.py  3 lines  1.2 s
✓ run pytest -q  1.2 s
    line 1
    line 2
    … 5 more lines
    line 8
    line 9
    line 10
    line 11
    line 12

  Plan 1/3
  ✓ entry 1
  ▸ entry 2
  ☐ entry 3

✓ completed after 3.2 s, 120 tokens in, 20 out, $0.0123"""
    )


def test_a_whole_run_in_40_columns():
    lines = whole_run().settled(40).splitlines()
    assert lines[2:5] == ["> fix the test, please, and say what was", "  wrong with it", "  thank you"]
    assert "The file calc.py subtracts where it" in lines
    assert "should add; 世界 is a wide word that has" in lines
    assert lines[-2:] == ["✓ completed after 3.2 s, 120 tokens in,", "  20 out, $0.0123"]


def test_paragraphs_settle_while_the_rest_is_live():
    story = Story().tell(start(), delta("First one.\n\nSecond **half"))
    assert story.settled() == "First one."
    assert story.live() == "Second **half"
    story.tell(delta("**.", 25), end("First one.\n\nSecond **half**."))
    assert story.settled() == "First one.\n\nSecond half."
    assert story.live() == ""


def test_deltas_that_come_twice_or_not_at_all_change_nothing():
    text = "One and two and three."
    story = Story().tell(start(), delta("One and "), delta("One and two", 0), end(text))
    assert story.settled() == text


def test_a_block_that_was_cut_says_so():
    story = Story().tell(start(), delta("No end"), end("No end", partial=True))
    assert story.settled() == "No end\n  … cut off here"


def test_a_block_without_a_beginning_is_whole_by_its_end():
    assert Story().tell(end("All of it.")).settled() == "All of it."


def test_thinking_is_live_then_folded():
    story = Story().tell(start("thinking"), delta("Hmm."))
    assert story.live(now=1_012_100) == "✻ Thinking… 12 s"
    story.tell(end("Hmm.", "thinking"))
    assert story.settled() == "✻ Thought for 200 ms"
    assert story.transcript.thought is not None
    assert story.transcript.thought.text == "Hmm."


def test_a_running_call_shows_the_end_of_its_output_and_for_how_long():
    story = Story().tell(called("run make"), output("".join(f"line {number}\n" for number in range(9))))
    assert story.live(now=1_065_100) == (
        "● run make  1 min 05 s\n    line 5\n    line 6\n    line 7\n    line 8"
    )


def test_a_line_that_a_progress_bar_rewrites_is_shown_as_it_was_left():
    story = Story().tell(called("run make"), output("10%\r20%\r100%\r\ndone"))
    assert story.live() == "● run make\n    100%\n    done"


def test_control_characters_of_tools_models_and_people_are_left_out():
    bad = "\x1b]0;title\x07\x1b[31mred\x1b[0m\x9b2J\u202eok"
    story = Story().tell(
        asked(bad),
        *block(f"text {bad}"),
        *block(f"thought {bad}", "thinking"),
        called(f"run {bad}"),
        returned(f"{bad}\n\x1b[2J"),
        called("x", call_id="c2"),
        failed(bad, call_id="c2"),
        request(f"run {bad}", match=f"echo {bad}"),
        resolved("stop", by=bad, message=bad),
        events.Notice(kind="x", message=bad),
    )
    shown = story.settled()
    assert not {character for character in shown if ord(character) < 32 or 127 <= ord(character) < 160} - {
        "\n"
    }
    assert "\u202e" not in shown
    assert shown.count("title") == 1  # Of what is asked about nothing is left out.
    assert "    echo <ESC>]0;title<U+0007>" in shown
    assert shown.count("red") >= 7


def test_a_sequence_cut_between_two_deltas_is_left_out_whole():
    story = Story().tell(called("run x"), output("\x1b[3"), output("1mred", 4))
    assert story.live() == "● run x\n    red"


def test_a_command_that_its_title_does_not_tell_whole_is_shown_before_it_is_allowed():
    story = Story().tell(request("run cat a …", match="cat a\nrm -rf b"))
    assert story.settled() == "  run cat a …\n    cat a\n    rm -rf b"
    assert Story().tell(request("run cat a", match="cat a")).settled() == ""


def test_a_command_with_characters_that_cannot_be_seen_says_so():
    story = Story().tell(request("run cat a", match="cat \u202ea"))
    assert "stand for what cannot be seen)\n    cat <U+202E>a" in story.settled()


def test_what_another_person_answered_is_said_with_their_name():
    story = Story().tell(request("run x", match="x"), resolved(by="phone", scope="session"))
    assert story.settled() == "  allowed for this session by phone: run x"


def test_a_denied_call_is_one_line_with_its_reason():
    story = Story().tell(
        request("run x", match="x"),
        resolved("deny", message="no"),
        failed("The call was not allowed. me says: no"),
    )
    assert story.settled() == "✗ run x  50 ms\n    The call was not allowed. me says: no"


def test_a_plan_is_live_until_its_run_ends():
    story = Story().tell(plan("in_progress", "pending"))
    assert story.live() == "  Plan 0/2\n  ▸ entry 1\n  ☐ entry 2"
    story.tell(plan("completed", "completed"), completed())
    assert story.live() == ""
    assert story.settled().startswith("  Plan 2/2\n  ✓ entry 1\n  ✓ entry 2\n\n✓ completed")


def test_a_queued_prompt_is_shown_when_its_turn_comes_and_a_steered_one_is_marked():
    story = Story().tell(asked("later", status="queued"), asked("now", status="steered", prompt_id="p2"))
    assert story.settled() == ""
    story.tell(events.PromptUpdated(prompt_id="p2", status="delivered", step=2))
    story.tell(events.PromptUpdated(prompt_id="p1", status="started"))
    assert story.settled() == ">> now\n\n> later"


def test_ends_of_runs_say_how():
    error = events.ErrorInfo(kind="overloaded", message="Too many people ask.")
    story = Story().tell(
        events.RunFailed(error=error, run_id="r"),
        events.RunCancelled(by="me", run_id="r"),
        events.RunCancelled(by="phone", run_id="r"),
        events.RunInterrupted(cause="restart", run_id="r"),
    )
    assert story.settled() == (
        "  error: Too many people ask.\n\n✗ failed\n\n✗ cancelled by you\n\n✗ cancelled by phone\n\n"
        "✗ interrupted (restart)"
    )


def test_what_is_going_on_has_a_name():
    story = Story()
    assert story.transcript.doing == "working"
    story.tell(start("thinking"))
    assert story.transcript.doing == "thinking"
    story.tell(end("", "thinking"), start("tool_input", tool="edit"))
    assert story.transcript.doing == "writing edit"
    story.tell(end("{}", "tool_input", tool="edit", tool_call_id="c1"), called("edit x", "edit", "edit"))
    assert story.transcript.doing == "running edit"


def test_who_joins_sees_history_and_what_is_open():
    story = Story()
    history = [asked("go on"), start(), called("run make")]
    snapshot = view.Snapshot(
        head=4,
        status="running",
        run=view.CurrentRun(
            run_id="run1",
            prompt_id="p1",
            seq=2,
            started_at=1,
            status="running",
            agent="chat",
            model="m",
            blocks=(
                view.OpenBlock(
                    block_id="b1",
                    message_id="m1",
                    step=1,
                    kind="text",
                    text="Whole.\n\nHalf of a line",
                    length=121,
                ),
            ),
            tool_calls=(
                view.OpenToolCall(
                    tool_call_id="c1",
                    step=1,
                    tool="shell",
                    kind="execute",
                    title="run make",
                    input={},
                    text="out",
                    length=3,
                ),
            ),
        ),
        queue=(view.QueuedPrompt(prompt_id="p9", content=(TextBlock(text="waits"),), by="x", seq=3),),
    )
    story.transcript.replay(history, snapshot, [request("run x …", match="x\ny")])
    story.items += story.transcript.take_settled()
    assert story.settled() == "> go on\n\nWhole.\n\n  run x …\n    x\n    y"
    assert story.live() == "Half of a line\n\n● run make\n    out"
    story.tell(delta(" more", 121), events.PromptUpdated(prompt_id="p9", status="started"))
    assert story.live().startswith("Half of a line more\n")
    assert story.settled().endswith("> waits")


def test_history_proposes_nothing_it_shows_what_was_done():
    story = Story({"/p/a": "new\n"})
    done = events.Diff(path="/p/a", old_text="old\n", new_text="new\n")
    history = [
        request("edit a", "edit", input={"path": "a", "old": "old", "new": "new"}),
        resolved(scope="once"),
        called("edit a", "edit", "edit"),
        returned("edited", diff=(done,)),
    ]
    snapshot = view.Snapshot(head=4, status="idle")
    story.transcript.cwd = "/p"
    story.transcript.replay(history, snapshot, [])
    story.items += story.transcript.take_settled()
    assert story.settled() == (
        "  allowed once: edit a\n\n✓ edit a  +1 -1  1.2 s\n    @@ -1 +1 @@\n    -old\n    +new"
    )


def test_an_event_of_a_newer_daemon_shows_nothing():
    story = Story()
    story.transcript.apply(events.UnknownEvent(type="later", seq=1, at=1))
    assert story.transcript.take_settled() == []


def test_a_change_that_could_not_be_shown_before_is_shown_when_it_was_made():
    done = events.Diff(path="/p/a", old_text="old\n", new_text="new\n")
    proposed = request("edit a", "edit", input={"path": "a", "old": "old", "new": "new"})
    blind = Story().tell(proposed, called("edit a", "edit", "edit"), returned("edited", diff=(done,)))
    assert blind.settled().count("-old") == 2
    seeing = Story({"/p/a": "old\n"})
    seeing.transcript.cwd = "/p"
    seeing.tell(proposed, called("edit a", "edit", "edit"), returned("edited", diff=(done,)))
    assert seeing.settled().count("-old") == 1


def test_a_very_long_prompt_says_that_there_is_more():
    assert Story().tell(asked("x" * 5000)).settled(width=400).endswith("x…")
