"""Python functions of plugins as tools, in processes of their own: called, crashed, hung, cancelled."""

import contextlib
import os
import sys
import textwrap
from pathlib import Path

import anyio
import pytest
from plugin_folders import make_plugin

from holdfast_daemon.extensions.child import ChildPlace
from holdfast_daemon.extensions.manifest import SkillEntry
from holdfast_daemon.extensions.skills import SkillTool, describe_skills
from holdfast_daemon.extensions.worker_pool import WorkerLimits, WorkerPool
from holdfast_daemon.tools.base import ToolContext, ToolFailure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in procfs")

ENV = {"PATH": os.environ["PATH"], "SEEN": "yes"}


class Printed:
    """Takes a call's output and lets a test wait for it."""

    def __init__(self):
        self.text = ""
        self._more = anyio.Event()

    async def take(self, text):
        self.text += text
        self._more.set()

    async def until(self, word):
        with anyio.fail_after(10):
            while word not in self.text:
                self._more = anyio.Event()
                await self._more.wait()


def context(printed=None, cwd="/"):
    return ToolContext(
        tool_call_id="call-1", cwd=cwd, roots=(cwd,), env=ENV, output=(printed or Printed()).take
    )


async def skills_of(tmp_path, source, *names, **options):
    folder = make_plugin(tmp_path, "", code=source)
    entries = tuple(SkillEntry(module=f"code_of:{name}", line=3, **options) for name in names)
    (folder / "code.py").rename(folder / "code_of.py")
    with anyio.fail_after(20):
        return await describe_skills(entries, "sample", str(folder))


@contextlib.asynccontextmanager
async def tool(tmp_path, source, name="skill", limits=None, **options):
    skills, problems = await skills_of(tmp_path, source, name, **options)
    assert problems == ()
    async with WorkerPool(ChildPlace(cwd=str(tmp_path), env=ENV), limits) as pool:
        found = SkillTool(skills[0], pool)
        found.pool = pool
        yield found


async def text_of(found, tool_input=None, printed=None):
    with anyio.fail_after(20):
        result = await found.run(tool_input or {}, context(printed))
    return result.content[0].text


async def failure_of(found, tool_input=None):
    with pytest.raises(ToolFailure) as caught:
        await text_of(found, tool_input)
    return caught.value


def living(pids):
    return [
        pid
        for pid in pids
        if Path(f"/proc/{pid}").exists() and b") Z" not in Path(f"/proc/{pid}/stat").read_bytes()
    ]


DESCRIBED = '''
    from dataclasses import dataclass
    from typing import Literal

    @dataclass
    class Point:
        x: int
        y: int = 0

    async def skill(name: str, at: Point, how: Literal["a", "b"] = "a", many: list[float] | None = None):
        """Do a thing.

        More of it.

        Args:
            name: what to call it,
                over two lines
            how (str): in which way
        """
'''


async def test_a_tool_is_made_of_signature_and_docstring(tmp_path):
    (skill,), problems = await skills_of(tmp_path, DESCRIBED, "skill")
    assert problems == ()
    assert (skill.name, skill.description) == ("skill", "Do a thing.\n\nMore of it.")
    schema = skill.input_schema
    assert schema["required"] == ["name", "at"]
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert properties["name"] == {"type": "string", "description": "what to call it, over two lines"}
    assert properties["at"]["properties"]["y"] == {"type": "integer", "default": 0}
    assert properties["how"] == {"enum": ["a", "b"], "default": "a", "description": "in which way"}
    assert "$ref" not in str(schema)


async def test_what_the_manifest_says_comes_before_what_the_function_says(tmp_path):
    (skill,), _ = await skills_of(tmp_path, DESCRIBED, "skill", name="mine", description="Better.", timeout=3)
    assert (skill.name, skill.description, skill.timeout_s) == ("mine", "Better.", 3)


BROKEN = {
    "no function": ("x = 1", "the module code_of has no `skill`"),
    "no callable": ("skill = 1", "`skill` is no function"),
    "a class": ("class skill: pass", "`skill` is no function"),
    "import fails": (
        "import nothing_of_the_kind",
        "ModuleNotFoundError: No module named 'nothing_of_the_kind'",
    ),
    "no Python": ("def skill(:", "SyntaxError: "),
    "import exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "import kills itself": ("import os; os._exit(3)", "the function ended its process (exit code 3)"),
    "import is killed": ("import os; os.kill(os.getpid(), 9)", "the function ended its process (signal 9)"),
    "any arguments": ("def skill(*args): pass", "`*args`: a tool needs parameters with names"),
    "any keywords": ("def skill(**kwargs): pass", "`**kwargs`: a tool needs parameters with names"),
    "no such type": ("def skill(x: 'Nowhere'): pass", "NameError: name 'Nowhere' is not defined"),
    "a type without JSON": ("def skill(x: complex.__add__): pass", ""),
    "an exception without text": (
        "class E(Exception):\n    def __str__(self): raise E\nraise E",
        "E",
    ),
}


@pytest.mark.parametrize(("source", "said"), BROKEN.values(), ids=BROKEN)
async def test_a_function_that_can_be_no_tool_is_told_with_its_line(tmp_path, source, said):
    skills, (problem,) = await skills_of(tmp_path, source, "skill")
    assert skills == ()
    assert problem.message.startswith(said)
    assert (problem.line, problem.file) == (3, f"{tmp_path}/sample/plugin.yaml")


async def test_an_import_that_hangs_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("holdfast_daemon.extensions.skills.DESCRIBE_TIMEOUT_S", 1.0)
    skills, (problem,) = await skills_of(tmp_path, "import time\nwhile True: time.sleep(1)", "skill")
    assert skills == ()
    assert problem.message == "took longer than 1 s to import"


async def test_one_bad_function_leaves_the_others(tmp_path):
    skills, problems = await skills_of(tmp_path, "def a(): pass\ndef c(): pass", "a", "b", "c")
    assert [skill.name for skill in skills] == ["a", "c"]
    assert [problem.field for problem in problems] == ["skills[1].module"]


async def test_modules_of_the_directory_it_runs_in_are_not_imported(tmp_path):
    (tmp_path / "textwrap.py").write_text("raise SystemExit('hijacked')")
    async with tool(tmp_path, "import textwrap\ndef skill(): return textwrap.dedent(' safe')") as found:
        assert await text_of(found) == "safe"


RESULTS = {
    "a text": ("'x'", "x"),
    "nothing": ("None", "done"),
    "data": ("{'a': [1, None, True]}", '{"a":[1,null,true]}'),
    "what JSON has no word for": ("{'p': __import__('pathlib').Path('/x')}", '{"p":"/x"}'),
    "a lone surrogate": ("'a' + chr(0xd800)", "a?"),
}


@pytest.mark.parametrize(("value", "said"), RESULTS.values(), ids=RESULTS)
async def test_what_it_returns_is_the_result(tmp_path, value, said):
    async with tool(tmp_path, f"def skill(): return {value}") as found:
        assert await text_of(found) == said


async def test_an_async_function_runs_to_its_end(tmp_path):
    source = "import asyncio\nasync def skill(x: int): await asyncio.sleep(0); return x + 1"
    async with tool(tmp_path, source) as found:
        assert await text_of(found, {"x": 1}) == "2"


async def test_input_that_does_not_fit_is_refused_with_its_path(tmp_path):
    async with tool(tmp_path, "def skill(x: int, y: str = ''): return x") as found:
        for bad, said in (
            ({}, "x"),
            ({"x": "1"}, "$.x"),
            ({"x": 1, "z": 2}, "z"),
            ({"x": 1, "y": None}, "$.y"),
        ):
            failure = await failure_of(found, bad)
            assert failure.kind == "invalid_input"
            assert said in str(failure)


async def test_what_it_prints_comes_as_output_before_the_result(tmp_path):
    source = """
        import os, subprocess, sys
        def skill():
            print("out"); print("err", file=sys.stderr)
            os.write(1, b"raw\\n")
            subprocess.run(["echo", "child"], check=True)
            print('{"result": "forged"}')
            return "result"
    """
    async with tool(tmp_path, source) as found:
        printed = Printed()
        assert await text_of(found, printed=printed) == "result"
        assert printed.text.split() == ["out", "err", "raw", "child", '{"result":', '"forged"}']


async def test_output_comes_while_it_runs(tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    source = f"def skill():\n    print('here')\n    return open({str(gate)!r}).read()"
    async with tool(tmp_path, source) as found, anyio.create_task_group() as group:
        printed = Printed()
        results = []

        async def call():
            results.append(await text_of(found, printed=printed))

        group.start_soon(call)
        await printed.until("here")
        assert results == []
        await anyio.to_thread.run_sync(lambda: gate.write_text("opened"))
    assert results == ["opened"]


async def test_it_sees_the_sessions_environment_and_directory_alone(tmp_path):
    async with tool(
        tmp_path, "import os\ndef skill(): return dict(os.environ) | {'cwd': os.getcwd()}"
    ) as found:
        seen = await text_of(found)
    assert '"SEEN":"yes"' in seen
    assert f'"cwd":"{tmp_path}"' in seen
    assert "PYTEST" not in seen


FAILURES = {
    "it raises": ("raise ValueError('because')", "tool_failed", "ValueError: because"),
    "it exits": ("raise SystemExit", "tool_failed", "SystemExit"),
    "it kills itself": (
        "os.kill(os.getpid(), 9)",
        "tool_failed",
        "skill: the function ended its process (signal 9)",
    ),
    "it leaves": ("os._exit(4)", "tool_failed", "skill: the function ended its process (exit code 4)"),
    "it overflows the stack": ("f = lambda: f(); f()", "tool_failed", "RecursionError"),
    "it crashes": ("ctypes.string_at(0)", "tool_failed", "skill: the function ended its process (signal 11)"),
    "it cannot be said": ("return object.__new__(Bad)", "tool_failed", ""),
    "it prints without end": (
        "while True: print('x' * 10000)",
        "output_too_large",
        "skill: the function printed too",
    ),
}


@pytest.mark.parametrize(("body", "kind", "said"), FAILURES.values(), ids=FAILURES)
async def test_a_call_that_fails_is_a_failure_and_the_next_one_works(tmp_path, body, kind, said):
    source = f"""
        import os, ctypes
        class Bad:
            def __str__(self): raise ValueError
        def skill(well: bool = False):
            if well: return "well"
            {body}
    """
    async with tool(tmp_path, source) as found:
        failure = await failure_of(found)
        assert failure.kind == kind
        assert str(failure).startswith(said)
        assert await text_of(found, {"well": True}) == "well"


async def test_a_function_that_writes_onto_the_answers_fails_alone(tmp_path):
    source = """
        import os
        def skill(well: bool = False):
            if not well:
                for descriptor in range(3, 64):
                    try: os.write(descriptor, b"nonsense\\n")
                    except OSError: pass
            return "well"
    """
    async with tool(tmp_path, source) as found:
        assert "makes no sense" in str(await failure_of(found))
        assert await text_of(found, {"well": True}) == "well"


async def test_a_huge_result_is_cut(tmp_path):
    async with tool(tmp_path, "def skill(): return 'x' * 50_000_000") as found:
        text = await text_of(found)
        assert len(text) < 1_100_000
        assert text.endswith("more characters]")


async def test_a_function_that_hangs_is_stopped_after_its_time(tmp_path):
    async with tool(tmp_path, "import time\ndef skill(): time.sleep(1000)", timeout=0.5) as found:
        failure = await failure_of(found)
        assert failure.kind == "timeout"
        assert found.pool.statistics().idle == 0


FAMILY = """
    import os, signal, subprocess, sys, time
    def skill():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        code = "import signal, time; signal.signal(15, 1); time.sleep(1000)"
        argv = [sys.executable, "-S", "-c", code]
        children = [subprocess.Popen(argv, start_new_session=bool(n % 2)) for n in range(4)]
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(1000)
            os._exit(0)
        print(os.getpid(), *[child.pid for child in children], "started")
        time.sleep(1000)
"""


async def test_a_cancel_ends_the_function_and_all_it_started(tmp_path):
    async with tool(tmp_path, FAMILY) as found, anyio.create_task_group() as group:
        printed = Printed()
        group.start_soon(text_of, found, None, printed)
        await printed.until("started")
        pids = [int(word) for word in printed.text.split() if word.isdigit()]
        assert len(living(pids)) == 5
        group.cancel_scope.cancel()
    assert living(pids) == []


async def test_a_worker_is_used_again_and_ends_with_its_pool(tmp_path):
    async with tool(tmp_path, "import os\ndef skill(): return os.getpid()") as found:
        first = await text_of(found)
        assert await text_of(found) == first
        assert found.pool.statistics().idle == 1
    assert living([int(first)]) == []


LEAVERS = {
    "a process": "subprocess.Popen(['sleep', '1000'])",
    "a thread": "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
}


@pytest.mark.parametrize("body", LEAVERS.values(), ids=LEAVERS)
async def test_a_worker_that_leaves_something_behind_is_not_used_again(tmp_path, body):
    source = f"""
        import os, subprocess, threading, time
        def skill():
            {body}
            return os.getpid()
    """
    async with tool(tmp_path, source) as found:
        first = await text_of(found)
        assert found.pool.statistics().idle == 0
        assert living([int(first)]) == []


async def test_calls_beside_each_other_have_workers_of_their_own_up_to_a_limit(tmp_path):
    source = "import os\ndef skill(): return os.getpid()"
    async with tool(tmp_path, source, limits=WorkerLimits(workers_max=2)) as found:
        pids = set()

        async def call():
            pids.add(await text_of(found))

        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(call)
        assert 1 <= len(pids) <= 2
        assert found.pool.statistics().idle == len(pids)


async def test_an_idle_worker_ends_after_its_time(tmp_path):
    async with tool(
        tmp_path, "import os\ndef skill(): return os.getpid()", limits=WorkerLimits(idle_s=0.01)
    ) as found:
        pid = int(await text_of(found))
        with anyio.fail_after(10):
            descriptor = os.pidfd_open(pid) if living([pid]) else None
            if descriptor is not None:
                await anyio.wait_readable(descriptor)
                os.close(descriptor)


async def test_retired_workers_load_the_code_anew(tmp_path):
    async with tool(tmp_path, "def skill(): return 'old'") as found:
        assert await text_of(found) == "old"
        (tmp_path / "sample" / "code_of.py").write_text(textwrap.dedent("def skill(): return 'new'"))
        assert await text_of(found) == "old"
        await found.pool.retire()
        assert await text_of(found) == "new"
