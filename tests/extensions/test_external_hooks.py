"""Hooks of plugins, as programs and as functions: they allow, deny and change, and refuse when they fail."""

import json
import os
import sys
import textwrap
from contextlib import asynccontextmanager

import anyio
import pytest
from plugin_folders import make_plugin

from holdfast_daemon.execution.hooks import VALUE_BYTES_MAX, Hooks
from holdfast_daemon.extensions.child import ChildPlace
from holdfast_daemon.extensions.external_hooks import ExternalHooks, HookChain, PluginHook
from holdfast_daemon.extensions.manifest import HookEntry
from holdfast_daemon.extensions.worker_pool import WorkerPool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in procfs")

CALL = {"sessionId": "s", "tool": "write", "input": {"path": "a"}}


def program(tmp_path, source, **options):
    folder = make_plugin(tmp_path, hook="import json, sys, os, time\n" + textwrap.dedent(source))
    command = (sys.executable, str(folder / "hook.py"))
    entry = HookEntry(event=options.pop("event", "pre_tool_use"), command=command, **options)
    return PluginHook(plugin="sample", folder=str(folder), entry=entry)


def function(tmp_path, source, **options):
    folder = make_plugin(tmp_path, hookmod="import json, sys, os, time\n" + textwrap.dedent(source))
    entry = HookEntry(event=options.pop("event", "pre_tool_use"), module="hookmod:hook", **options)
    return PluginHook(plugin="sample", folder=str(folder), entry=entry)


@asynccontextmanager
async def hooks_of(tmp_path, *hooks):
    place = ChildPlace(cwd=str(tmp_path), env={"PATH": os.environ["PATH"], "SEEN": "yes"})
    async with WorkerPool(place) as pool:
        yield ExternalHooks(hooks, place, pool)


async def reports_of(tmp_path, *hooks, event="pre_tool_use", call=None):
    async with hooks_of(tmp_path, *hooks) as made:
        with anyio.fail_after(20):
            return await made.run(event, call or CALL)


ANSWERS = {
    "allow": ('{"decision": "allow"}', ("allow", None, None)),
    "null": ("null", ("allow", None, None)),
    "deny": ('{"decision": "deny", "reason": "no"}', ("deny", "no", None)),
    "deny without a reason": ('{"decision": "deny"}', ("deny", "The hook refused.", None)),
    "modify": ('{"decision": "modify", "input": {"path": "b"}}', ("modify", None, {"path": "b"})),
    "modify what it cannot": (
        '{"decision": "modify", "result": 1}',
        ("deny", "The hook's answer makes no sense.", None),
    ),
    "another word": ('{"decision": "maybe"}', ("deny", "The hook's answer makes no sense.", None)),
    "a list": ("[]", ("deny", "The hook's answer makes no sense.", None)),
    "nothing": ("", ("deny", "The hook failed: it wrote no JSON", None)),
    "garbage": ("<html>", ("deny", "The hook failed: it wrote no JSON", None)),
    "two values": ("null null", ("deny", "The hook failed: it wrote no JSON", None)),
    "very deep": ("[" * 100_000, ("deny", "The hook failed: it wrote no JSON", None)),
}


@pytest.mark.parametrize(("written", "expected"), ANSWERS.values(), ids=ANSWERS)
async def test_what_a_program_answers_decides(tmp_path, written, expected):
    (report,) = await reports_of(
        tmp_path, program(tmp_path, f"sys.stdin.read(); sys.stdout.write({written!r})")
    )
    assert (report.decision, report.reason, report.value) == expected
    assert report.hook == f"sample/{sys.executable}"
    assert report.event == "pre_tool_use"


FAILURES = {
    "a crash": ("sys.exit('because')", "The hook failed: it ended with 1: because"),
    "a crash after an answer": ("print('null', flush=True); os._exit(3)", "The hook failed: it ended with 3"),
    "a signal": ("os.kill(os.getpid(), 9)", "The hook failed: it ended with -9"),
    "a hang": ("time.sleep(1000)", "The hook took longer than 0.5 s."),
    "a hang after an answer": (
        "print('null', flush=True); time.sleep(1000)",
        "The hook took longer than 0.5 s.",
    ),
    "no end": ("while True: print('x' * 10000)", "The hook failed: it wrote more than 1048576 bytes"),
    "too large a value": (
        f"print(json.dumps(dict(decision='modify', input='x' * {VALUE_BYTES_MAX})))",
        "The hook failed: its answer is over 524288 bytes of JSON",
    ),
}


@pytest.mark.parametrize(("source", "reason"), FAILURES.values(), ids=FAILURES)
async def test_a_program_that_fails_has_refused(tmp_path, source, reason):
    timeout = 0.5 if "took" in reason else 10
    (report,) = await reports_of(tmp_path, program(tmp_path, source, timeout=timeout))
    assert (report.decision, report.reason) == ("deny", reason)


async def test_a_program_that_is_not_there_has_refused(tmp_path):
    entry = HookEntry(event="pre_tool_use", command=("./gone",))
    (report,) = await reports_of(tmp_path, PluginHook(plugin="p", folder=str(tmp_path), entry=entry))
    assert (report.decision, report.reason) == ("deny", "The hook failed: there is no program `./gone`")


async def test_a_program_is_told_the_call_and_sees_the_sessions_environment_alone(tmp_path):
    source = """
        told = [json.load(sys.stdin), dict(os.environ)]
        print(json.dumps({"decision": "deny", "reason": json.dumps(told)}))
    """
    (report,) = await reports_of(tmp_path, program(tmp_path, source))
    call, env = json.loads(report.reason)
    assert call == {**CALL, "event": "pre_tool_use"}
    assert env["SEEN"] == "yes"
    assert not any(name.startswith("PYTEST") for name in env)


FUNCTIONS = {
    "allow": ("def hook(call): print('noise')", "allow", None),
    "deny": ("def hook(call): return {'decision': 'deny', 'reason': call['tool']}", "deny", "write"),
    "async": ("async def hook(call): return {'decision': 'deny', 'reason': 'x'}", "deny", "x"),
    "raise": ("def hook(call): raise ValueError('because')", "deny", "The hook failed: ValueError: because"),
    "gone": ("hok = 1", "deny", "The hook failed: BadSkill: the module hookmod has no `hook`"),
    "hang": ("def hook(call): time.sleep(1000)", "deny", "The hook took longer than 1 s."),
    "exit": (
        "def hook(call): os._exit(1)",
        "deny",
        "The hook failed: the function ended its process (exit code 1)",
    ),
    "nonsense": ("def hook(call): return object()", "deny", None),
}


@pytest.mark.parametrize(("source", "decision", "reason"), FUNCTIONS.values(), ids=FUNCTIONS)
async def test_a_function_decides_and_refuses_when_it_fails(tmp_path, source, decision, reason):
    (report,) = await reports_of(tmp_path, function(tmp_path, source, timeout=1))
    assert report.decision == decision
    assert reason is None or report.reason == reason


async def test_each_hook_sees_what_the_one_before_made_of_it_and_the_first_refusal_ends_it(tmp_path):
    change = "def hook(call): return {'decision': 'modify', 'input': {'n': call['input'].get('n', 0) + 1}}"
    refuse = "def hook(call): return {'decision': 'deny', 'reason': str(call['input'])}"
    changing = [function(tmp_path / str(number), change) for number in range(2)]
    refusing = [function(tmp_path / str(number), refuse) for number in (2, 3)]
    reports = await reports_of(tmp_path, *changing, *refusing)
    assert [report.decision for report in reports] == ["modify", "modify", "deny"]
    assert reports[-1].reason == "{'n': 2}"


async def test_a_hook_sees_the_tools_and_events_it_wants(tmp_path):
    hook = program(tmp_path, "print('null')", tools="wr*", event="post_tool_use")
    async with hooks_of(tmp_path, hook) as made:
        assert made.wanted("post_tool_use", "write")
        assert not made.wanted("post_tool_use", "read")
        assert not made.wanted("pre_tool_use", "write")
        assert await made.run("post_tool_use", {**CALL, "tool": "read"}) == []


async def test_a_prompt_may_be_changed_and_the_end_of_a_run_is_told(tmp_path):
    change = program(
        tmp_path / "a", "print(json.dumps(dict(decision='modify', prompt='better')))", event="prompt_received"
    )
    told = program(tmp_path / "b", "json.load(sys.stdin); print('null')", event="run_completed")
    async with hooks_of(tmp_path, change, told) as made:
        (report,) = await made.run("prompt_received", {"sessionId": "s", "prompt": "good"})
        assert (report.decision, report.value) == ("modify", "better")
        (report,) = await made.run(
            "run_completed", {"sessionId": "s", "runId": "r", "stopReason": "end_turn"}
        )
        assert report.decision == "allow"


async def test_a_chain_passes_changes_on_and_stops_at_a_refusal(tmp_path):
    change = "def hook(call): return {'decision': 'modify', 'input': {'n': 1}}"
    refuse = "def hook(call): return {'decision': 'deny', 'reason': str(call['input'])}"
    async with (
        hooks_of(tmp_path, function(tmp_path / "a", change)) as first,
        hooks_of(tmp_path, function(tmp_path / "b", refuse)) as second,
        hooks_of(tmp_path, function(tmp_path / "c", refuse)) as third,
    ):
        chain = HookChain(Hooks(), first, second, third)
        assert chain.wanted("pre_tool_use", "write")
        reports = await chain.run("pre_tool_use", CALL)
    assert [report.decision for report in reports] == ["modify", "deny"]
    assert reports[-1].reason == "{'n': 1}"
