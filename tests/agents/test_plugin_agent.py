"""Agents that are classes of plugins: driven in a process of their own, whatever they do there."""

import contextlib
import os
import socket
import sys
import textwrap
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from class_agents import CHAT, ENV, HEAD, agent_of, living
from scripted import ScriptedModel, block, call, done, say

from holdfast_daemon.agents import plugin_agent
from holdfast_daemon.agents.agent_wire import Close, Next, Open
from holdfast_daemon.agents.base import BudgetExhausted, StepsExhausted, Unshown
from holdfast_daemon.agents.plugin_agent import PluginAgent
from holdfast_daemon.config import SandboxSettings
from holdfast_daemon.execution.bubblewrap_sandbox import detect_sandbox
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.execution.mount_points import MountPoints
from holdfast_daemon.extensions.loader import Plugin
from holdfast_daemon.extensions.manifest import Manifest
from holdfast_daemon.extensions.plugins import LoadedPlugin
from holdfast_daemon.extensions.session_extensions import SessionExtensions, SessionPlace
from holdfast_daemon.models.base import (
    AssistantMessage,
    BlockDelta,
    BlockStarted,
    ModelError,
    ModelOptions,
    RetryScheduled,
    StepCompleted,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolResultsMessage,
    ToolSpec,
    UserMessage,
)
from holdfast_protocol.content import ImageBlock, TextBlock
from holdfast_protocol.events import Cost, ErrorInfo, Usage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in procfs")


EMPTY = Manifest(name="sample", version="1")


class Session:
    """A run that folds what it is given into a conversation; `calls` says what call_tools gives."""

    def __init__(self, model: Any, *calls: Any, steps_max: int = 10) -> None:
        self.model = model
        self.options = ModelOptions(thinking="low", cache_key="k")
        self.tools = (
            ToolSpec(name="read", description="d", input_schema={"type": "object"}),
            ToolSpec(name="write", description="d", input_schema={}),
        )
        self.steps_max = steps_max
        self.resumed = False
        self.instructions = "Speak Latin."
        self.cwd = "/srv/x"
        self.conversation: list[Any] = [UserMessage(content=(TextBlock(text="hello"),))]
        self.rounds = 0
        self.unshown: list[Unshown] = []  # Each time the budget was looked at.
        self.looks_max = 1_000_000
        self._calls = list(calls)

    def messages(self):
        return tuple(self.conversation)

    async def call_tools(self) -> int:
        self.rounds += 1
        found = self._calls.pop(0) if self._calls else 0
        if callable(found):
            found = await found()
        if isinstance(found, BaseException):
            raise found
        return found

    async def keep_to_budget(self, unshown: Unshown) -> None:
        self.unshown.append(unshown)
        if len(self.unshown) > self.looks_max:
            raise BudgetExhausted


class Asked(ScriptedModel):
    """Keeps all it was asked with."""

    def __init__(self, *steps: Any) -> None:
        super().__init__(*steps)
        self.given: list[Any] = []
        self.closed = 0

    async def stream(self, *given: Any):
        self.given.append(given)
        try:
            async for event in super().stream(*given):
                yield event
        finally:
            self.closed += 1


async def drive(agent: PluginAgent, session: Session) -> list[Any]:
    with anyio.fail_after(30):
        return [event async for event in agent.run(session)]


async def failure_of(agent: PluginAgent, session: Session) -> ErrorInfo:
    with pytest.raises(ModelError) as caught:
        await drive(agent, session)
    return caught.value.info


async def until_it_raises(run: Any) -> tuple[list[Any], Exception | None]:
    events: list[Any] = []
    try:
        while True:
            events.append(await anext(run))
    except StopAsyncIteration:
        return events, None
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return events, error


def texts(events: list[Any]) -> list[str]:
    return [event.text for event in events if isinstance(event, BlockDelta)]


async def test_a_chat_loop_in_a_plugin_gives_the_same_events_as_the_built_in_one(tmp_path):
    steps = [*block("thinking", kind="thinking"), *call("read", {"path": "x"}, index=1), done("tool_use")]
    model = Asked(steps, say("done"))
    session = Session(model, 1, 0)
    assert await drive(agent_of(tmp_path, CHAT), session) == [*steps, *say("done")]
    assert session.rounds == 2
    (messages, tools, system, options), _ = model.given
    assert (messages, tools, options) == (session.messages(), session.tools, session.options)
    assert system.startswith("Be brief.\n\nThe working directory is /srv/x.")
    assert system.endswith("\n\nSpeak Latin.")
    assert model.closed == 2


async def test_the_conversation_comes_whole_and_stays_up_to_date(tmp_path):
    before = [
        UserMessage(content=(TextBlock(text="ä"), ImageBlock(mime_type="image/png", data="AAAA"))),
        AssistantMessage(
            parts=(
                ThinkingPart(text="t", provider="p", opaque={"signature": [1, None, "x"]}),
                TextPart(text="b"),
                ToolCallPart(tool_call_id="c", tool="read", input_json='{"a": 1}'),
            )
        ),
        ToolResultsMessage(
            results=(
                ToolResultPart(tool_call_id="c", tool="read", content=(TextBlock(text="r"),), is_error=True),
            )
        ),
    ]
    body = """
        seen = [session.messages()]
        for event in step("first"):
            yield event
        seen.append(session.messages())
        await session.call_tools()
        seen.append(session.messages())
        for messages in seen:
            async for event in session.model.stream(messages, (), "", session.options):
                pass
        last = (*seen[0], UserMessage(content=(TextBlock(text="mine"),)), seen[0][0])
        async for event in session.model.stream(last, (), "", session.options):
            pass
    """
    model = Asked()
    session = Session(model)
    session.conversation = list(before)
    added = [
        AssistantMessage(parts=(TextPart(text="first"),)),
        UserMessage(content=(TextBlock(text="steer"),)),
    ]

    async def tools_called():
        session.conversation.pop()
        session.conversation.append(added[1])
        return 0

    session._calls = [tools_called]

    async for event in agent_of(tmp_path, body).run(session):
        if isinstance(event, StepCompleted) and len(session.conversation) == 3:
            session.conversation.append(added[0])
    shown = [given[0] for given in model.given]
    mine = UserMessage(content=(TextBlock(text="mine"),))
    assert shown == [
        tuple(before),
        (*before, added[0]),
        (*before, added[1]),
        (*before, mine, before[0]),
    ]
    assert shown[1][1] is before[1]  # What the daemon had is not what the process says it was.


async def test_what_it_sees_of_the_run(tmp_path):
    body = """
        seen = [session.model.info.name, session.options.thinking, [tool.name for tool in session.tools],
            session.steps_max, session.resumed, session.instructions, session.cwd, os.getcwd(),
            sorted(os.environ), __name__]
        for event in step(msgspec.json.encode(seen).decode()):
            yield event
    """
    (said,) = texts(await drive(agent_of(tmp_path, body, tools=("re*",)), Session(Asked())))
    name, thinking, tools, steps_max, resumed, instructions, cwd, place, env, module = msgspec.json.decode(
        said
    )
    assert (name, thinking, tools, steps_max, resumed) == ("test/scripted", "low", ["read"], 10, False)
    assert (instructions, cwd, place, module) == ("Speak Latin.", "/srv/x", str(tmp_path), "agents_of_it")
    assert set(env) - {"LC_CTYPE", "PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "SEEN"}


async def test_tools_that_come_and_go_are_seen_after_the_calls(tmp_path):
    body = """
        await session.call_tools()
        for event in step(" ".join(tool.name for tool in session.tools)):
            yield event
    """
    session = Session(Asked())

    async def tools_called():
        session.tools = (ToolSpec(name="new", description="", input_schema={}),)
        return 0

    session._calls = [tools_called]
    assert texts(await drive(agent_of(tmp_path, body), session)) == ["new"]


async def test_a_steps_end_is_in_the_log_when_it_goes_on(tmp_path):
    mark = tmp_path / "mark"
    body = f"""
        for event in step("x"):
            yield event
        open({str(mark)!r}, "w").close()
    """
    run = agent_of(tmp_path, body).run(Session(Asked()))
    async with contextlib.aclosing(run):
        with anyio.fail_after(20):
            while not isinstance(await anext(run), StepCompleted):
                pass
            assert not mark.exists()
            assert [event async for event in run] == []
    assert mark.exists()


# What it used ------------------------------------------------------------------------------------------


async def test_what_a_step_used_is_what_models_said_whatever_the_agent_says(tmp_path):
    body = """
        async for event in one_step(session, ""):
            pass
        async for event in one_step(session, ""):
            if isinstance(event, StepCompleted):
                yield StepCompleted(stop_reason="end_turn", usage=Usage(input=1_000_000))
            else:
                yield event
        for event in step("mine"):
            yield event
        async for event in one_step(session, ""):
            pass
    """
    cost = Cost(amount=0.5)
    whole = StepCompleted(stop_reason="max_tokens", usage=Usage(input=3, output=1), cost=cost)
    error = ErrorInfo(kind="overloaded", message="later")
    retry = RetryScheduled(attempt=1, delay_ms=0, error=error, usage=Usage(input=7), cost=cost)
    model = Asked([*block("a"), whole], [retry, *block("b"), whole], [*block("c"), whole])
    events = await drive(agent_of(tmp_path, body), Session(model))
    first, second, third = [event for event in events if isinstance(event, StepCompleted)]
    assert (first.usage, first.cost) == (Usage(input=13, output=2), Cost(amount=1.5))
    assert second.usage == Usage()
    assert (third.usage, third.cost) == (Usage(input=3, output=1), cost)
    (again,) = [event for event in events if isinstance(event, RetryScheduled)]
    assert (again.usage, again.error) == (None, error)


async def test_a_failed_run_tells_what_it_used(tmp_path):
    body = """
        async for event in one_step(session, ""):
            pass
        async for event in one_step(session, ""):
            pass
        yield
    """
    error = ModelError(ErrorInfo(kind="auth", message="no key", status=401), Usage(input=2))
    with pytest.raises(ModelError) as caught:
        await drive(agent_of(tmp_path, body), Session(Asked(say("x"), [error])))
    assert caught.value.info == error.info
    assert caught.value.usage == Usage(input=12, output=5)


async def test_an_agent_may_catch_what_a_model_raises_and_go_on(tmp_path):
    body = """
        try:
            async for event in one_step(session, ""):
                pass
        except ModelError as error:
            for event in step(error.info.kind):
                yield event
    """
    model = Asked([ModelError(ErrorInfo(kind="overloaded", message="later"))])
    assert texts(await drive(agent_of(tmp_path, body), Session(model))) == ["overloaded"]


async def test_responses_beside_each_other_and_ones_given_up(tmp_path):
    body = """
        one = session.model.stream(session.messages(), (), "", session.options)
        two = session.model.stream(session.messages(), (), "", session.options)
        await anext(one), await anext(two)
        await one.aclose()
        stuck = session.model.stream(session.messages(), (), "", session.options)
        try:
            async with asyncio.timeout(0.2):
                await anext(stuck)
        except TimeoutError:
            await stuck.aclose()
        async for event in two:
            pass
        for event in step("went on"):
            yield event
    """
    model = Asked(say("a"), say("b"), [anyio.sleep_forever, *say("never")])
    assert texts(await drive(agent_of(tmp_path, body), Session(model))) == ["went on"]
    assert model.closed == 3


async def test_a_response_given_up_while_its_event_comes_is_closed(tmp_path):
    class Process:
        def __init__(self):
            self.told = []

        async def hear_whenever(self):
            return Close(stream=1)

        async def tell(self, *lines):
            self.told += lines

    model, process = Asked(say("x")), Process()
    run = plugin_agent._Run(agent_of(tmp_path, CHAT), Session(model), process)
    run._open(Open(stream=1, messages=(), tools=(), system="", options=ModelOptions()))
    await run._next(Next(id=1, stream=1))
    assert model.closed == 1
    assert run._streams == {}


# What it may use ---------------------------------------------------------------------------------------

KEEPS = "async for event in one_step(session, ''): pass\n"
SHOWS = "async for event in one_step(session, ''): yield event\n"
USED = Usage(input=10, output=5)


async def looks(tmp_path, body: str, *calls: int) -> list[Unshown]:
    session = Session(Asked(), *calls)
    await drive(agent_of(tmp_path, body + "for event in step('end'): yield event"), session)
    return session.unshown


async def test_before_each_response_but_the_first_the_budget_is_looked_at(tmp_path):
    assert await looks(tmp_path, SHOWS * 3) == [Unshown(), Unshown()]


async def test_what_is_not_shown_counts(tmp_path):
    [one, two] = await looks(tmp_path, KEEPS * 3)
    assert (one, two) == (Unshown(responses=1, usage=USED), Unshown(responses=2, usage=USED + USED))
    [one, two] = await looks(tmp_path, KEEPS + SHOWS + KEEPS)
    assert (one.responses, two.responses) == (1, 1)  # One step took what two responses used.
    assert (one.usage, two.usage) == (USED, Usage())


async def test_what_the_calling_of_tools_looked_at_is_not_looked_at_again(tmp_path):
    calls = "await session.call_tools()\n"
    assert await looks(tmp_path, SHOWS + calls + SHOWS + calls + SHOWS, 1, 0) == [Unshown()]


async def test_responses_that_are_wanted_together_are_looked_at_when_they_begin(tmp_path):
    body = """
streams = [session.model.stream(session.messages(), (), "", session.options) for _ in range(3)]
for stream in streams:
    await anext(stream)
for stream in streams:
    async for event in stream:
        pass
"""
    assert [unshown.responses for unshown in await looks(tmp_path, body)] == [1, 2]


async def test_a_response_given_up_before_its_end_is_not_free(tmp_path):
    body = (
        """
stream = session.model.stream(session.messages(), session.tools, "x" * 400, session.options)
await anext(stream), await anext(stream)
await stream.aclose()
"""
        + KEEPS
    )
    session = Session(Asked(say("y" * 40)))
    events = await drive(agent_of(tmp_path, body + "for event in step('end'): yield event"), session)
    [unshown] = session.unshown
    assert (unshown.responses, unshown.unpriced) == (1, True)
    assert unshown.usage.input > 100
    assert (unshown.usage.output, unshown.usage.estimated) == (10, True)
    assert events[-1].usage == unshown.usage + USED


@pytest.mark.parametrize("within", [False, True])
async def test_a_budget_that_ends_the_run_leaves_what_was_used(tmp_path, within):
    session = Session(Asked())
    session.looks_max = 1
    begin = "yield BlockStarted(index=0, kind='text')\n" if within else ""
    run = agent_of(tmp_path, begin + KEEPS * 9 + "yield").run(session)
    with anyio.fail_after(30):
        events, error = await until_it_raises(run)
    assert isinstance(error, BudgetExhausted)
    assert len(session.model.asked) == 2
    told = error.usage if within else events[-1].usage
    assert told == USED + USED


# Ends --------------------------------------------------------------------------------------------------

ENDS = {
    "it raises": ("raise ValueError('because'); yield", "agent_failed", "sample:one: ValueError: because"),
    "it raises what cannot be said": (
        "class E(Exception):\n    def __str__(self): raise E\nraise E\nyield",
        "agent_failed",
        "sample:one: E",
    ),
    "it raises in mid-block": (
        "for event in text('x'): yield event\nraise ValueError('late')",
        "agent_failed",
        "sample:one: ValueError: late",
    ),
    "it exits": ("raise SystemExit(3); yield", "agent_failed", "sample:one: SystemExit: 3"),
    "it leaves": (
        "print('last words', file=sys.stderr, flush=True); time.sleep(0.5); os._exit(4); yield",
        "agent_failed",
        "The process of sample:one ended: last words.",
    ),
    "it is killed": ("os.kill(os.getpid(), 9); yield", "agent_failed", "The process of sample:one ended."),
    "it crashes": (
        "import ctypes; ctypes.string_at(0); yield",
        "agent_failed",
        "The process of sample:one ended",
    ),
    "its child goes on": (
        "if os.fork() == 0: time.sleep(1000)\nos._exit(4); yield",
        "agent_failed",
        "The process of sample:one ended.",
    ),
    "it hangs": ("time.sleep(1000); yield", "timeout", "sample:one did nothing for 2 s."),
    "it waits for ever": ("await asyncio.sleep(1000); yield", "timeout", "sample:one did nothing for 2 s."),
    "it yields no event": (
        "yield 'x'",
        "agent_failed",
        "sample:one: TypeError: an agent yields step events, not str",
    ),
    "it yields a bad event": (
        "yield BlockDelta(index='x', text='y')",
        "protocol",
        "sample:one said what makes no sense: ",
    ),
    "it yields what is no text": (
        "yield BlockDelta(index=0, text=chr(0xd800))",
        "agent_failed",
        "sample:one: UnicodeEncodeError",
    ),
    "it yields too much": (
        "yield BlockDelta(index=0, text='x' * 9_000_000)",
        "protocol",
        "sample:one said what makes no sense: a line of more than 8388608 bytes",
    ),
    "it ends in mid-step": (
        "for event in text('x'): yield event",
        "protocol",
        "sample:one did what makes no sense: it ended in the middle of a step.",
    ),
    "it fails as a model does": (
        "raise ModelError(ErrorInfo(kind='mine', message='own words')); yield",
        "mine",
        "own words",
    ),
    "it yields nothing": ("pass", "agent_failed", "sample:one: BadAgent: `One.run` yields nothing"),
    "a name is too long": (
        "yield BlockStarted(index=0, kind='tool_input', tool='x' * 300)",
        "protocol",
        "sample:one did what makes no sense: a name of 300 characters",
    ),
    "it cannot be imported": (
        "# \nimport nothing_of_the_kind",
        "agent_failed",
        "sample:one: ModuleNotFoundError",
    ),
    "it is no agent": ("# \nclass One: pass", "agent_failed", "sample:one: BadAgent: `One` is no class that"),
}


@pytest.mark.parametrize(("body", "kind", "said"), ENDS.values(), ids=ENDS)
async def test_an_agent_that_fails_is_a_failure_of_its_run(tmp_path, body, kind, said):
    error = await failure_of(agent_of(tmp_path, body, idle_s=2.0), Session(Asked()))
    assert error.kind == kind
    assert error.message.startswith(said)


LINES = {
    "no JSON": b"nonsense\n",
    "nothing": b"\n",
    "no object": b"[]\n",
    "no such word": b'{"type":"launch"}\n',
    "a key too many": b'{"type":"call_tools","id":1,"x":1}\n',
    "an empty event": b'{"type":"shown","event":{}}\n',
    "an unknown event": b'{"type":"shown","event":{"launched":{}}}\n',
    "two events": b'{"type":"shown","event":{"delta":{"index":0,"text":""},"ended":{"index":0}}}\n',
    "no response": b'{"type":"next","id":1,"stream":7}\n',
    "no message": b'{"type":"open","stream":1,"messages":[1],"tools":[],"system":"","options":{}}\n',
    "a message twice": b'{"type":"open","stream":1,"messages":[0,0],"tools":[],"system":"","options":{}}\n',
    "an empty message": b'{"type":"open","stream":1,"messages":[{}],"tools":[],"system":"","options":{}}\n',
    "no tool": b'{"type":"open","stream":1,"messages":[],"tools":["x"],"system":"","options":{}}\n',
    "deep": b'{"type":"shown","event":' + b"[" * 100_000 + b"\n",
    "no UTF-8": b'{"type":"shown\xff"}\n',
    "endless": b"x" * 9_000_000,
    "speaks out of turn": (
        b'{"type":"open","stream":1,"messages":[],"tools":[],"system":"","options":{}}\n'
        b'{"type":"next","id":1,"stream":1}\n{"type":"call_tools","id":2}\n'
    ),
    "opens twice": b'{"type":"open","stream":1,"messages":[],"tools":[],"system":"","options":{}}\n' * 2,
    "opens too many": b"".join(
        b'{"type":"open","stream":%d,"messages":[],"tools":[],"system":"","options":{}}\n' % n
        for n in range(9)
    ),
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
async def test_whatever_a_process_writes_is_a_failure_of_its_run(tmp_path, line):
    (tmp_path / "line").write_bytes(line)
    body = f"""
        line = open({str(tmp_path / "line")!r}, "rb").read()
        for descriptor in range(3, 64):
            try:
                if os.readlink(f"/proc/self/fd/{{descriptor}}").startswith("pipe:"):
                    os.set_blocking(descriptor, True)
                    os.write(descriptor, line)
            except OSError:
                pass
        time.sleep(1000)
        yield
    """
    session = Session(Asked([anyio.sleep_forever]), steps_max=100)
    error = await failure_of(agent_of(tmp_path, body), session)
    assert error.kind == "protocol"
    assert session.rounds == 0


async def test_events_of_a_step_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(plugin_agent, "EVENTS_PER_STEP_MAX", 1000)
    body = """
        yield BlockStarted(index=0, kind="text")
        while True:
            yield BlockDelta(index=0, text="")
    """
    assert (await failure_of(agent_of(tmp_path, body), Session(Asked()))).kind == "protocol"


ENDLESS = {
    "its own steps": "while True:\n    for event in step('x'): yield event",
    "responses it keeps": "while session:\n    async for event in one_step(session, ''): pass\nyield",
    "it says so": "for event in step('x'): yield event\nraise StepsExhausted",
}


@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
async def test_steps_are_bounded_shown_or_not(tmp_path, body):
    model = Asked()
    run = agent_of(tmp_path, body).run(Session(model, steps_max=3))
    with anyio.fail_after(30):
        events, error = await until_it_raises(run)
    assert isinstance(error, StepsExhausted)
    assert len(model.asked) <= 3
    used = [event.usage.input for event in events if isinstance(event, StepCompleted)]
    assert sum(used) == 10 * len(model.asked)


async def test_what_calling_tools_raises_ends_the_run_as_it_is(tmp_path):
    class Budget(Exception):
        pass

    with pytest.raises(Budget):
        await drive(agent_of(tmp_path, CHAT), Session(Asked(say("x")), Budget()))


async def test_it_may_print_without_end(tmp_path):
    body = """
        for _ in range(20):
            print("x" * 100_000)
            subprocess.run(["echo", "y"], check=True)
        for event in step("done"):
            yield event
    """
    assert texts(await drive(agent_of(tmp_path, body), Session(Asked()))) == ["done"]


# Cancelling --------------------------------------------------------------------------------------------

FAMILY = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    argv = [sys.executable, "-S", "-c", "import signal, time; signal.signal(15, 1); time.sleep(1000)"]
    children = [subprocess.Popen(argv, start_new_session=bool(n % 2)) for n in range(4)]
    for event in step(" ".join(map(str, [os.getpid(), *[child.pid for child in children]]))):
        yield event
"""

WAITS = {
    "in its own code": "time.sleep(1000)",
    "for itself": "await asyncio.sleep(1000)",
    "for a model": "async for event in one_step(session, ''): pass",
    "for tools": "await session.call_tools()",
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
async def test_a_cancel_ends_the_process_and_all_it_started(tmp_path, wait):
    model = Asked([anyio.sleep_forever])
    session = Session(model, anyio.sleep_forever)
    agent = agent_of(tmp_path, textwrap.dedent(FAMILY) + wait)
    pids: list[int] = []
    started = anyio.Event()

    async def drive_it() -> None:
        async with contextlib.aclosing(agent.run(session)) as events:
            async for event in events:
                if isinstance(event, BlockDelta):
                    pids.extend(map(int, event.text.split()))
                if isinstance(event, StepCompleted):
                    started.set()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(drive_it)
            await started.wait()
            assert len(living(pids)) == 5
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert living(pids) == []
    assert model.closed == len(model.given)


async def test_an_abandoned_run_ends_the_process(tmp_path):
    agent = agent_of(tmp_path, "for event in step(str(os.getpid())): yield event\ntime.sleep(1000)")
    run = agent.run(Session(Asked()))
    await anext(run)
    pid = int((await anext(run)).text)
    assert living([pid]) == [pid]
    await run.aclose()
    assert living([pid]) == []


async def test_a_process_that_ends_while_a_model_is_waited_for_is_noticed(tmp_path):
    body = """
        async def leave():
            await asyncio.sleep(0)
            os._exit(1)
        async for event in one_step(session, ""):
            leaving = asyncio.get_running_loop().create_task(leave())  # Comes to it in the next `anext`.
            await asyncio.sleep(0)
        yield
    """
    model = Asked([BlockStarted(index=0, kind="text"), anyio.sleep_forever])
    error = await failure_of(agent_of(tmp_path, body), Session(model))
    assert error.kind == "agent_failed"
    assert model.closed == 1


async def test_a_process_that_cannot_start_is_a_failure_of_its_run(tmp_path):
    agent = agent_of(tmp_path, CHAT)
    agent._place = msgspec.structs.replace(agent._place, cwd=str(tmp_path / "gone"))
    assert (await failure_of(agent, Session(Asked()))).kind == "agent_failed"


# The sandbox -------------------------------------------------------------------------------------------

TRIES = """
        import pathlib, socket
        def tried(what):
            try:
                return str(what())
            except Exception as error:
                return type(error).__name__
        said = {
            "reads": tried(lambda: pathlib.Path("file").read_text()),
            "changes": tried(lambda: pathlib.Path("file").write_text("x")),
            "adds": tried(lambda: pathlib.Path("new").touch()),
            "changes the plugin": tried(lambda: pathlib.Path(__file__).write_text("x")),
            "looks": tried(lambda: pathlib.Path(HIDDEN).read_text()),
            "calls": tried(lambda: socket.create_connection(("127.0.0.1", PORT), 1)),
            "daemons": tried(lambda: pathlib.Path(f"/proc/{DAEMON}").exists()),
        }
        for event in step(msgspec.json.encode(said).decode()):
            yield event
"""


async def test_its_process_reads_the_sessions_directories_and_reaches_nothing_else(tmp_path):
    found = detect_sandbox(SandboxSettings(), MountPoints(tmp_path / "mounts"), Path.home(), os.environ)
    if not found.confines:
        pytest.skip(found.info.detail or "no sandbox here")
    work, hidden = tmp_path / "work", tmp_path / "hidden"
    work.mkdir()
    hidden.mkdir()
    (work / "file").write_text("text")
    (hidden / "token").write_text("secret")
    listening = socket.create_server(("127.0.0.1", 0))
    with contextlib.closing(listening):
        names = {"HIDDEN": str(hidden / "token"), "PORT": listening.getsockname()[1], "DAEMON": os.getpid()}
        head = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        agent = agent_of(tmp_path, f"# \n{head}{HEAD}{TRIES}")
        plugin = Plugin(name="sample", scope="user", folder=agent.context.folder, manifest=EMPTY)
        extensions = SessionExtensions(
            SessionPlace(cwd=str(work), roots=(str(work),), env=ENV, hidden=(str(hidden),)),
            [LoadedPlugin(plugin=plugin, skills=(), problems=())],
            launcher=Launcher(found),
        )
        agent = PluginAgent(agent.context, extensions.agent_place, name="sample:one")
        (said,) = texts(await drive(agent, Session(Asked())))
    assert msgspec.json.decode(said) == {
        "reads": "text",
        "changes": "OSError",
        "adds": "OSError",
        "changes the plugin": "OSError",
        "looks": "FileNotFoundError",
        "calls": "ConnectionRefusedError",
        "daemons": "False",
    }
    assert (work / "file").read_text() == "text"
