"""Hooks see each call, may refuse or change it, and refuse when they fail (design.md section 7; D33)."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from holdfast_daemon.config import HookSpec
from holdfast_daemon.execution.hooks import VALUE_BYTES_MAX, Hooks

sys.path.insert(0, str(Path(__file__).parent))  # Worker processes get it too.

PRE, POST = "pre_tool_use", "post_tool_use"


def spec(name, event=PRE, **more):
    return HookSpec(event=event, target=f"sample_hooks:{name}", **more)


def call(tmp_path, tool="read", **more):
    return {
        "sessionId": "s",
        "runId": "r1",
        "toolCallId": "t1",
        "tool": tool,
        "cwd": str(tmp_path),
        "mode": "ask",
        "input": {"path": "a"},
        **more,
    }


async def run(specs, given, event=PRE):
    with anyio.fail_after(30):
        return await Hooks(specs).run(event, given)


async def only(name, given, event=PRE, **more):
    reports = await run([spec(name, event, **more)], given, event)
    assert len(reports) == 1
    assert reports[0].hook == f"sample_hooks:{name}"
    assert reports[0].event == event
    assert reports[0].duration_ms >= 0
    return reports[0]


@pytest.mark.parametrize("name", ["allows", "says_nothing", "allows_async", "prints"])
async def test_a_hook_that_has_nothing_against_it_lets_a_call_go_on(tmp_path, name):
    report = await only(name, call(tmp_path))
    assert (report.decision, report.reason, report.value) == ("allow", None, None)


async def test_a_hook_denies_and_says_why(tmp_path):
    report = await only("denies", call(tmp_path, "write"))
    assert (report.decision, report.reason) == ("deny", "no write in ask mode")


async def test_a_denial_without_a_reason_gets_one(tmp_path):
    report = await only("denies_async", call(tmp_path))
    assert (report.decision, report.reason) == ("deny", "The hook refused.")


async def test_a_reason_is_cut(tmp_path):
    report = await only("denies_at_length", call(tmp_path))
    assert report.decision == "deny"
    assert len(report.reason) == 1024


async def test_a_sync_hook_runs_in_another_process_and_changes_the_input(tmp_path):
    report = await only("rewrites", call(tmp_path))
    assert report.decision == "modify"
    assert report.value["path"] == "a"
    assert report.value["rewritten"] != os.getpid()


async def test_an_async_hook_changes_the_input_and_says_why(tmp_path):
    report = await only("rewrites_async", call(tmp_path))
    assert (report.decision, report.value, report.reason) == (
        "modify",
        {"path": "rewritten"},
        "a better path",
    )


async def test_a_post_hook_changes_the_result(tmp_path):
    report = await only("rewrites_result", call(tmp_path, result=[]), POST)
    assert (report.decision, report.value) == ("modify", [{"type": "text", "text": "withheld"}])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("crashes", "ValueError: the hook is broken"),
        ("crashes_async", "ValueError: the hook is broken"),
        ("crashes_oddly", "failed"),
        ("times_out_by_itself", "TimeoutError: a server did not answer"),
        ("exits", "SystemExit: 2"),
        ("exits_async", "SystemExit: 2"),
        ("dies", "BrokenWorkerProcess"),
        ("cannot_be_sent", "failed"),
        ("no_json", "TypeError"),
    ],
)
async def test_a_hook_that_fails_has_refused(tmp_path, name, words):
    report = await only(name, call(tmp_path))
    assert report.decision == "deny"
    assert words in report.reason


@pytest.mark.parametrize(
    "name",
    [
        "says_yes",
        "says_true",
        "unknown_decision",
        "no_decision",
        "modifies_nothing",
        "modifies_the_wrong_thing",
        "list_answer",
    ],
)
async def test_an_answer_that_makes_no_sense_is_a_refusal(tmp_path, name):
    report = await only(name, call(tmp_path))
    assert (report.decision, report.reason) == ("deny", "The hook's answer makes no sense.")


@pytest.mark.parametrize(("name", "reason"), [("odd_denial", "5"), ("odd_reason", "['one', 2]")])
async def test_a_reason_that_is_no_text_is_made_one(tmp_path, name, reason):
    assert (await only(name, call(tmp_path))).reason == reason


async def test_a_sync_hook_that_hangs_has_refused_and_its_process_is_gone(tmp_path):
    await only("notes", call(tmp_path))  # So that the worker is there, and the time is the hook's alone.
    report = await only("hangs", call(tmp_path), timeout_s=0.5)
    assert (report.decision, report.reason) == ("deny", "The hook took longer than 0.5 s.")
    pid = int((tmp_path / "pid").read_text(encoding="utf-8"))
    assert pid != os.getpid()
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            with anyio.fail_after(10):
                await anyio.wait_readable(descriptor)
        finally:
            os.close(descriptor)


@pytest.mark.parametrize("name", ["hangs_async", "hangs_and_then_allows"])
async def test_an_async_hook_that_hangs_has_refused_whatever_it_says_afterwards(tmp_path, name):
    report = await only(name, call(tmp_path), timeout_s=0.05)
    assert (report.decision, report.reason) == ("deny", "The hook took longer than 0.05 s.")


async def test_cancelling_the_call_ends_a_hook_that_hangs(tmp_path):
    """The run's cancellation is not the hook's time-out: it goes on outwards."""
    for name in ("hangs", "hangs_async"):
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                reports = []

                async def run_hook(name=name, reports=reports):
                    reports += await Hooks([spec(name, timeout_s=3600)]).run(PRE, call(tmp_path))

                tasks.start_soon(run_hook)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
        assert reports == []


@pytest.mark.parametrize(("beyond", "decision"), [(0, "modify"), (1, "deny")])
async def test_what_a_hook_makes_of_a_call_is_bounded(tmp_path, beyond, decision):
    report = await only("makes_large", call(tmp_path, size=VALUE_BYTES_MAX + beyond))
    assert report.decision == decision


async def test_hooks_run_in_order_and_each_sees_what_the_one_before_made_of_the_call(tmp_path):
    reports = await run([spec("rewrites_async"), spec("appends"), spec("appends")], call(tmp_path))
    assert [report.value for report in reports] == [
        {"path": "rewritten"},
        {"path": "rewrittenx"},
        {"path": "rewrittenxx"},
    ]


async def test_after_a_refusal_no_hook_runs(tmp_path):
    reports = await run([spec("allows_async"), spec("denies_async"), spec("notes")], call(tmp_path))
    assert [report.decision for report in reports] == ["allow", "deny"]
    assert not (tmp_path / "seen").exists()


async def test_what_a_hook_does_to_the_call_it_was_given_changes_nothing(tmp_path):
    given = call(tmp_path)
    reports = await run([spec("changes_in_place"), spec("denies", tools="shell")], given)
    assert [report.decision for report in reports] == ["allow"]
    assert given == call(tmp_path)


async def test_a_hook_sees_only_its_event_and_its_tools(tmp_path):
    specs = [spec("notes", tools="w*"), spec("notes", POST), spec("notes", tools="read")]
    hooks = Hooks(specs)
    with anyio.fail_after(30):
        assert len(await hooks.run(PRE, call(tmp_path, "write"))) == 1
        assert len(await hooks.run(PRE, call(tmp_path, "shell"))) == 0
        assert len(await hooks.run(POST, call(tmp_path, "shell", result=[]))) == 1
    assert (tmp_path / "seen").read_text(encoding="utf-8") == f"{PRE} t1\n{POST} t1\n"


@pytest.mark.parametrize(
    ("pattern", "tool", "wanted"),
    [("*", "shell", True), ("write", "write", True), ("write", "Write", False), ("w*", "shell", False)],
)
def test_a_pattern_names_tools_by_their_exact_case(pattern, tool, wanted):
    hooks = Hooks([spec("allows", tools=pattern)])
    assert hooks.wanted(PRE, tool) is wanted
    assert not hooks.wanted(POST, tool)


def test_without_hooks_nothing_is_wanted():
    assert not Hooks().wanted(PRE, "shell")


@pytest.mark.parametrize(
    "target",
    [
        "no_such_module:f",
        "sample_hooks:no_such_function",
        "sample_hooks:not_a_function",
        "sample_hooks",
        ":f",
        "",
    ],
)
def test_a_hook_that_cannot_be_imported_keeps_the_daemon_from_starting(target):
    with pytest.raises(ValueError, match="no hook"):
        Hooks([HookSpec(event=PRE, target=target)])
