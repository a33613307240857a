"""The fold of a session's events (PROTOCOL.md, "Snapshots"): a snapshot and its tail agree with the log."""

from itertools import groupby

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_values import Log, logs

from holdfast_protocol import content, events
from holdfast_protocol.view import SNAPSHOT_BYTES_MAX, OpenText, Snapshot, View, fold


def over_the_wire(snapshot):
    return msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot)


def written(log):
    return fold(None, log.events)


def viewed(log):
    view = View()
    for event in log:
        view.apply(event)
    return view


def log_with_run():
    log = Log()
    log.prompt(0)
    return log


# The property everything rests on ---------------------------------------------------------------


@settings(max_examples=300)
@given(logs())
def test_a_snapshot_and_its_tail_give_what_the_whole_log_gives_wherever_it_is_split(log):
    whole = fold(None, log)
    for place in range(len(log) + 1):
        snapshot = over_the_wire(fold(None, log[:place]))
        assert fold(snapshot, log[place:]) == whole


@given(logs(), st.lists(st.integers(0, 100), max_size=4))
def test_snapshots_of_snapshots_agree_too(log, places):
    snapshot, at = None, 0
    for place in sorted(place % (len(log) + 1) for place in places):
        snapshot, at = over_the_wire(fold(snapshot, log[at:place])), place
    assert fold(snapshot, log[at:]) == fold(None, log)


@given(logs())
def test_events_that_came_over_the_wire_fold_the_same(log):
    assert fold(None, [events.decode(msgspec.json.encode(event)) for event in log]) == fold(None, log)


@given(logs(), st.lists(st.integers(0, 9), min_size=1))
def test_consecutive_deltas_fold_at_once_as_they_do_one_by_one(log, offsets):
    """Also where an offset says that some of the text is there already, or is missing."""
    shifted = [
        msgspec.structs.replace(event, offset=offsets[place % len(offsets)])
        if isinstance(event, events.Delta) and place % 3 == 0
        else event
        for place, event in enumerate(log)
    ]
    view = View()
    for are_deltas, group in groupby(shifted, lambda event: isinstance(event, events.Delta)):
        if are_deltas:
            view.apply_deltas(list(group))
        else:
            for event in group:
                view.apply(event)
    assert view.snapshot(None) == viewed(shifted).snapshot(None)


@given(logs())
def test_a_snapshot_says_what_was_written_last_and_where_to_page_back_from(log):
    snapshot = fold(None, log)
    assert snapshot.head == len(log)
    assert snapshot.older == len(log) + 1
    assert snapshot.truncated == ()


@given(logs())
def test_what_is_open_in_the_log_is_open_in_the_view(log):
    view = viewed(log)
    opened = [event for event in log if isinstance(event, events.RequestOpened)]
    resolved = {event.request_id for event in log if isinstance(event, events.RequestResolved)}
    assert list(view.snapshot().requests) == [event for event in opened if event.request_id not in resolved]
    starts = [event.run_id for event in log if isinstance(event, events.RunStarted)]
    ends = {event.run_id for event in log if isinstance(event, events.Terminal)}
    assert view.runs == len(starts)
    assert (view.run is not None) == bool(set(starts) - ends)


big_texts = st.sampled_from(["a" * 9000, "é" * 9000, "漢" * 9000, "🙂" * 9000, "\x01" * 9000, "x", "🙂", ""])


@settings(max_examples=200)
@given(logs(big_texts), st.integers(0, 100), st.integers(4000, 60_000))
def test_a_snapshot_that_was_cut_still_agrees_in_all_but_what_it_says_was_cut(log, place, bytes_max):
    place %= len(log) + 1
    cut = over_the_wire(viewed(log[:place]).snapshot(bytes_max))
    agrees(fold(cut, log[place:]), viewed(log).snapshot(None))


def agrees(cut, whole):
    """Check that a fold upon a cut snapshot has what the whole has, but for what it says itself."""
    for name in Snapshot.__struct_fields__:
        if name not in cut.truncated and name != "truncated":
            assert getattr(cut, name) == getattr(whole, name), name
    assert set(ids(cut.queue)) <= set(ids(whole.queue))
    assert set(ids(cut.requests)) <= set(ids(whole.requests))
    if cut.run is not None and "run" in cut.truncated:
        assert {block.block_id for block in cut.run.blocks} <= {block.block_id for block in whole.run.blocks}
        of_whole = {block.block_id: block for block in whole.run.blocks}
        for block in cut.run.blocks:
            assert block.length == of_whole[block.block_id].length
            assert of_whole[block.block_id].text.endswith(block.text)


def ids(items):
    return [getattr(item, "prompt_id", None) or item.request_id for item in items]


# Its size ------------------------------------------------------------------------------------------


HUGE = ["a" * 400_000, "🙂" * 200_000, "\x01" * 200_000, '"' * 300_000]


def fill_block(log, text):
    log.block(0)
    for _ in range(3):
        log.text = lambda: text
        log.delta(0)


def fill_many_blocks(log, text):
    for number in range(200):
        log.add(
            events.ContentBlockStart(
                run_id=log.run_id,
                block_id=f"b{number}",
                message_id="m",
                step=1,
                kind="text",
                tool=text[:5000],
            )
        )
        log.add(events.TokenDelta(run_id=log.run_id, block_id=f"b{number}", offset=0, text=text[:2000]))


def fill_tool_calls(log, text):
    log.text = lambda: text
    for _ in range(20):
        log.call(0)
        log.output(len(log.calls) - 1)


def fill_queue(log, text):
    log.text = lambda: text
    for _ in range(30):
        log.prompt(0)


def fill_queue_with_crumbs(log, _text):
    crumbs = tuple(content.TextBlock(text="x") for _ in range(256))
    for number in range(256):
        log.add(
            events.PromptReceived(
                prompt_id=f"p-{number}", content=crumbs, delivery="queue", status="queued", by="x" * 128
            )
        )


def fill_requests(log, text):
    log.text = lambda: text
    for _ in range(20):
        log.ask(0)


def fill_options(log, text):
    options = tuple(
        events.RequestOption(id=f"o{number}", label=text[:300], kind="choice") for number in range(2000)
    )
    log.add(events.RequestOpened(request_id="q", kind="question", title="t", detail=None, options=options))


def fill_plan(log, text):
    entry = events.PlanEntry(content=text[:40], priority="low", status="pending")
    log.add(events.PlanUpdated(entries=(entry,) * 20_000))


def fill_plan_entry(log, text):
    log.add(events.PlanUpdated(entries=(events.PlanEntry(content=text, priority="low", status="pending"),)))


def fill_children(log, _text):
    for number in range(5000):
        log.add(events.AgentStarted(agent="a" * 100, session_id=f"s-{number}", epoch="e" * 32))


def fill_settings(log, text):
    roots = tuple("/" + "r" * 4000 for _ in range(64))
    log.add(events.SessionUpdated(title=text, meta={"x": text}, roots=roots))


FILLS = [
    fill_block,
    fill_many_blocks,
    fill_tool_calls,
    fill_queue,
    fill_queue_with_crumbs,
    fill_requests,
    fill_options,
    fill_plan,
    fill_plan_entry,
    fill_children,
    fill_settings,
]


@pytest.mark.parametrize("text", HUGE, ids=["ascii", "emoji", "control", "quotes"])
@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.__name__)
def test_a_snapshot_is_never_over_its_limit_whatever_is_huge(fill, text):
    log = log_with_run()
    fill(log, text)
    snapshot = written(log)
    assert len(msgspec.json.encode(snapshot)) <= SNAPSHOT_BYTES_MAX
    assert snapshot.truncated
    assert over_the_wire(snapshot) == snapshot


def test_a_snapshot_in_which_everything_is_huge_is_within_its_limit_and_says_so():
    log = log_with_run()
    for fill in FILLS:
        fill(log, "🙂" * 50_000)
    snapshot = written(log)
    assert len(msgspec.json.encode(snapshot)) <= SNAPSHOT_BYTES_MAX
    assert set(snapshot.truncated) == {"settings", "run", "queue", "requests", "plan", "children"}


def test_only_the_part_that_is_too_long_is_shortened():
    log = log_with_run()
    log.ask(0)
    log.prompt(0)
    fill_plan(log, "x" * 40)
    fill_block(log, "a" * 100)
    snapshot = written(log)
    assert snapshot.truncated == ("plan",)
    whole = viewed(log.events).snapshot(None)
    assert msgspec.structs.replace(snapshot, plan=whole.plan, truncated=()) == whole
    assert snapshot.plan == whole.plan[: len(snapshot.plan)]


def test_one_long_text_keeps_its_end_and_its_length_and_much_of_the_limit():
    log = log_with_run()
    fill_block(log, "🙂" * 100_000 + "end")
    snapshot = written(log)
    (block,) = snapshot.run.blocks
    assert block.length == 300_009
    assert block.text.endswith("🙂end")
    assert len(msgspec.json.encode(snapshot)) > SNAPSHOT_BYTES_MAX / 4


def test_a_cut_block_goes_on_growing_by_offset():
    log = log_with_run()
    fill_block(log, "a" * 200_000)
    cut = written(log)
    log.text = lambda: "more"
    log.delta(0)
    (block,) = fold(cut, log.events[-1:]).run.blocks
    assert block.length == 600_004
    assert block.text.endswith("aamore")


def test_a_cut_request_says_so_until_it_is_resolved():
    log = log_with_run()
    log.text = lambda: "x" * 300_000
    log.ask(0)
    cut = written(log)
    (request,) = cut.requests
    assert (request.truncated, request.detail, request.seq) == (True, None, log.events[-1].seq)
    assert over_the_wire(cut).requests == cut.requests
    log.answer(0)
    assert fold(cut, log.events[-1:]).requests == ()


def test_a_cut_tool_call_says_so_also_after_its_snapshot_was_folded_on():
    log = log_with_run()
    log.text = lambda: "x" * 300_000
    log.call(0)
    cut = written(log)
    log.text = lambda: "output"
    log.output(0)
    (call,) = fold(over_the_wire(cut), log.events[-1:]).run.tool_calls
    assert (call.truncated, call.input, call.text, call.length) == (True, None, "output", 6)


def test_a_cut_prompt_keeps_its_first_words_and_is_whole_again_when_it_is_changed():
    log = log_with_run()
    log.text = lambda: "first words " + "x" * 400_000
    log.prompt(0)
    cut = written(log)
    (prompt,) = cut.queue
    assert prompt.truncated
    assert prompt.content[0].text.startswith("first words xxx")
    log.text = lambda: "short"
    log.change_prompt(0)
    (changed,) = fold(cut, log.events[-1:]).queue
    assert (changed.truncated, changed.content) == (False, (content.TextBlock(text="short"),))


def test_a_part_is_whole_again_when_it_is_replaced():
    log = log_with_run()
    fill_plan(log, "x" * 40)
    fill_block(log, "a" * 300_000)
    cut = written(log)
    assert cut.truncated == ("run", "plan")
    log.text = lambda: "short"
    log.plan(2)
    log.end_run(0)
    assert fold(cut, log.events[-3:]) == written(log)
    assert written(log).truncated == ()


def test_what_was_cut_before_stays_marked_when_something_else_is_cut():
    log = log_with_run()
    marked = msgspec.structs.replace(written(log), truncated=("children",))
    at = len(log.events)
    fill_block(log, "a" * 300_000)
    assert fold(marked, log.events[at:]).truncated == ("run", "children")


def test_a_request_with_far_too_many_options_is_still_there_without_them():
    log = log_with_run()
    fill_options(log, "x" * 300)
    (request,) = written(log).requests
    assert (request.request_id, request.options, request.truncated) == ("q", (), True)


def test_a_limit_of_none_cuts_nothing():
    log = log_with_run()
    fill_block(log, "a" * 400_000)
    assert viewed(log.events).snapshot(None).run.blocks[0].text == "a" * 1_200_000


# Single events ---------------------------------------------------------------------------------------


def test_an_empty_log_is_an_idle_session_without_a_past():
    assert fold(None, []) == Snapshot(head=0, status="idle")


def test_a_session_runs_pauses_and_is_idle_again():
    log = Log()
    statuses = [written(log).status]
    for action in (log.prompt, log.pause, lambda _: log.pause(1), log.end_run):
        action(0)
        statuses.append(written(log).status)
    assert statuses == ["idle", "running", "paused", "running", "idle"]
    log.add(events.SessionEnded(reason="deleted"))
    assert written(log).status == "ended"


@pytest.mark.parametrize(
    ("choice", "status", "held"),
    [(0, "completed", False), (1, "failed", True), (2, "cancelled", False), (3, "interrupted", True)],
)
def test_the_queue_waits_after_a_failed_or_interrupted_run_until_the_next_one(choice, status, held):
    log = log_with_run()
    log.prompt(0)
    log.end_run(choice)
    snapshot = written(log)
    assert (snapshot.last_run.status, snapshot.last_run.seq, snapshot.held) == (status, snapshot.head, held)
    log.next_prompt(0)
    assert not written(log).held
    assert written(log).queue == ()


def test_the_queue_is_in_the_order_of_the_log_until_a_prompt_is_moved():
    log = log_with_run()
    for _ in range(3):
        log.prompt(0)
    first, second, third = log.queue
    log.add(events.PromptUpdated(prompt_id=third, position=1))
    assert [prompt.prompt_id for prompt in written(log).queue] == [third, first, second]
    log.add(events.PromptUpdated(prompt_id=third, position=3))
    assert [prompt.prompt_id for prompt in written(log).queue] == [first, second, third]
    log.add(events.PromptUpdated(prompt_id=first, position=99))
    assert [prompt.prompt_id for prompt in written(log).queue] == [second, third, first]


@pytest.mark.parametrize("status", ["started", "delivered"])
def test_a_prompt_leaves_the_queue_for_a_run(status):
    log = log_with_run()
    log.prompt(0)
    log.add(events.PromptUpdated(prompt_id=log.queue[0], status=status))
    assert written(log).queue == ()


def test_settings_change_member_by_member():
    log = Log()
    log.add(events.SessionUpdated(title="t"))
    log.add(events.SessionUpdated(archived=True, forked_from=events.Origin(session_id="s", epoch="e", seq=3)))
    log.add(events.ModelSwitched(model="n", previous="m"))
    changed = written(log).settings
    assert (changed.title, changed.archived, changed.model) == ("t", True, "n")
    assert (changed.cwd, changed.roots, changed.forked_from.seq) == ("/srv", ("/srv/lib",), 3)


@pytest.mark.parametrize(
    "end",
    [
        events.AgentCompleted(agent="helper", session_id="s-1", result=None),
        events.AgentFailed(agent="helper", session_id="s-1", error=events.ErrorInfo(kind="x", message="x")),
    ],
)
def test_a_child_is_there_until_it_ends(end):
    log = Log()
    log.add(events.AgentStarted(agent="helper", session_id="s-1", epoch="e"))
    log.add(events.AgentStarted(agent="helper", session_id="s-2", epoch="e"))
    assert [child.session_id for child in written(log).children] == ["s-1", "s-2"]
    log.add(end)
    assert [child.session_id for child in written(log).children] == ["s-2"]


def test_usage_adds_up_for_the_run_and_for_the_session():
    log = log_with_run()
    log.usage(10)
    log.usage(20)
    log.end_run(0)
    log.prompt(0)
    log.usage(5)
    snapshot = written(log)
    assert (snapshot.usage.input, snapshot.run.usage.input) == (35, 5)


def test_a_delta_that_came_twice_counts_once():
    text = OpenText(None)
    text.append(0, "🙂a")
    text.append(0, "🙂a")
    text.append(1, "ab")
    assert (text.text(), text.length) == ("🙂ab", 3)


def test_text_is_given_from_its_end():
    text = OpenText(None, "🙂🙃", length=10)
    text.append(10, "x")
    assert (text.text(2), text.text(0), text.text(), text.length) == ("🙃x", "", "🙂🙃x", 11)


def test_events_of_what_is_not_open_change_nothing_but_the_head():
    log = Log()
    before = written(log)
    log.add(events.TokenDelta(block_id="b", offset=0, text="x"))
    log.add(events.ToolOutput(tool_call_id="c", offset=0, text="x"))
    log.add(events.RequestResolved(request_id="q", outcome="yes", by="x"))
    log.add(events.PromptUpdated(prompt_id="p", status="started"))
    log.add(events.PromptRemoved(prompt_id="p", reason="x"))
    log.add(events.AgentFailed(agent="a", error=events.ErrorInfo(kind="x", message="x"), session_id="s"))
    assert written(log) == msgspec.structs.replace(before, head=7, older=8)
