"""The lines around the input line."""

from told import request

from holdfast_client.aio import Ask
from holdfast_client.terminal import status
from holdfast_client.terminal.glyphs import ASCII, UNICODE, glyphs_for
from holdfast_client.terminal.questions import Question
from holdfast_protocol import events, view
from holdfast_protocol.content import TextBlock


def text(fragments: status.Fragments) -> str:
    return "".join(part for _, part in fragments)


def test_what_goes_on_is_said_with_its_time_and_the_key_that_ends_it():
    activity = status.Activity(doing="thinking", for_ms=12_400)
    assert text(status.activity_line(activity, UNICODE, 80))[1:] == " thinking  12 s  Ctrl-C cancels"
    assert text(status.activity_line(activity, UNICODE, 30))[1:] == " thinking  12 s"


def test_a_lost_daemon_is_said_before_all_else():
    line = status.activity_line(status.Activity(doing="thinking", connected=False), ASCII, 80)
    assert "reconnecting..." in text(line)


def test_nothing_is_said_of_nothing():
    assert status.activity_line(status.Activity(), UNICODE, 80) == []


def test_a_queue_shows_the_first_and_counts_the_rest():
    prompts = [
        view.QueuedPrompt(prompt_id=f"p{n}", content=(TextBlock(text=f"prompt {n}\nmore"),), by="x", seq=n)
        for n in range(1, 6)
    ]
    lines = [text(line) for line in status.queue_lines(prompts, UNICODE, held=True)]
    assert lines == [
        "Queue (5, held, /continue goes on)",
        "  1 prompt 1 more",
        "  2 prompt 2 more",
        "  3 prompt 3 more",
        "  … 2 more",
    ]


def test_answers_stand_beside_each_other_where_there_is_room():
    asked = Question(Ask("s", request("run x")), 0)
    wide = status.question_lines(asked, UNICODE, width=80, waiting=2, armed=True)
    assert [text(line).rstrip() for line in wide] == [
        "Allow run x?  (and 2 more)",
        "[y] Allow once  [s] Allow in this session  [n] Deny",
    ]
    narrow = status.question_lines(asked, UNICODE, width=40, waiting=0, armed=True)
    assert [text(line).rstrip() for line in narrow[1:]] == [
        "[y] Allow once",
        "[s] Allow in this session",
        "[n] Deny",
    ]


def test_keys_that_do_not_count_yet_are_not_shown():
    asked = Question(Ask("s", request("run x")), 0)
    lines = status.question_lines(asked, UNICODE, width=80, waiting=0, armed=False)
    assert [text(line) for line in lines] == ["Allow run x?", "…"]


def test_what_matters_most_is_kept_where_there_is_little_room():
    sections: list[list[status.Fragments]] = [
        [[("", "q1")], [("", "q2")]],
        [[("", "queue")]],
        [[("", "busy")]],
    ]
    assert [text(line) for line in status.fitted(sections, 10)] == [
        "",
        "q1",
        "q2",
        "",
        "queue",
        "",
        "busy",
        "",
    ]
    assert [text(line) for line in status.fitted(sections, 3)] == ["q1", "q2", "queue"]
    assert [text(line) for line in status.fitted(sections, 2)] == ["q1", "q2"]
    assert status.fitted(sections, 0) == []
    assert status.fitted([[], []], 5) == [[]]


def test_the_footer_leaves_out_what_does_not_fit():
    session = view.View(
        view.Snapshot(
            head=1,
            status="idle",
            settings=view.Settings(
                cwd="/p",
                agent="chat",
                model="some/model",
                sandbox=events.SandboxInfo(kind="none"),
                title="世界",
            ),
            usage=events.Usage(input=1000, output=234),
        )
    )
    assert text(status.footer(session, 0.5, 80, UNICODE)) == (
        "some/model · ask · 1,234 tokens $0.5000 · 世界 · /help"
    )
    assert text(status.footer(session, None, 80, UNICODE)) == "some/model · ask · 1,234 tokens · 世界 · /help"
    assert text(status.footer(session, 0.5, 20, UNICODE)) == "some/model · ask"


def test_a_line_is_cut_between_wide_characters():
    assert status.cut("世界你好", 5, "…") == "世界…"
    assert status.cut("世界", 4, "…") == "世界"
    assert text(status.cut_fragments([("a", "abc"), ("b", "defgh")], 6, "…")) == "abcde…"


def test_signs_are_ascii_where_the_encoding_lacks_them():
    assert glyphs_for("utf-8") is UNICODE
    assert glyphs_for("latin-1") is ASCII
    assert glyphs_for(None) is ASCII
    assert glyphs_for("no such encoding") is ASCII
