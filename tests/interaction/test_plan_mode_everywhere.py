"""Plan mode changes nothing, by whatever way it is tried (failures.md section 2)."""

import pytest
from extension_world import DONE, delegate, make_plugin, mcp_server, tool, user_folder
from interaction_world import resident
from person import calling, script, shell

WRITE = ("write", {"path": "new", "content": "x"})

LOOKS = {"name": "looks", "description": "Says that it only reads.", "inputSchema": {"type": "object"}}
READS = LOOKS | {"name": "reads", "kind": "read"}

MANIFEST = """
skills:
  - module: makers:make
commands:
  - {name: toucher, command: touch}
agents:
  - {name: doer, system_prompt: Do., mode: auto}
"""

MAKERS = """
from pathlib import Path


def make(name: str) -> str:
    \"\"\"Make a file.\"\"\"
    Path(name).touch()
    return "made"
"""

WAYS = {
    "a sub-agent": delegate(calling(WRITE), DONE),
    "a sub-agent of a plugin": delegate(calling(WRITE), DONE, agent="sample:doer"),
    "a redirect": shell("echo x > new"),
    "a redirect behind a command that reads": shell("cat kept >> new"),
    "an editing tool": WRITE,
    "an MCP tool": tool("write", {"path": "new"}),
    "a skill": ("make", {"name": "new"}),
    "a command": ("toucher", {"arguments": ["new"]}),
    "a hosted tool that only says it reads": ("looks", {}),
}


@pytest.fixture
def extended(home, monkeypatch):
    """A directory with one file, and the user's plugin."""
    make_plugin(user_folder(monkeypatch, home) / "plugins", MANIFEST, makers=MAKERS)
    (home.work / "kept").write_text("kept", encoding="utf-8")


async def begin(daemon, home, **settings):
    ann = await daemon.person("ann")
    session = await ann.begin(home.work, mcpServers=[mcp_server()], **settings)
    await ann.call("tool/register", sessionId=session, tools=[LOOKS, READS])
    return ann, session


def unchanged(home):
    assert [path.name for path in home.work.iterdir()] == ["kept"]
    assert (home.work / "kept").read_text(encoding="utf-8") == "kept"


async def plan_with(ann, session, *calls):
    """Have a run make calls in plan mode, one step each; give the outcomes, by tool."""
    await ann.prompt(session, script(*(calling(call) for call in calls), DONE))
    asked = await ann.event("request_opened")
    assert asked["kind"] == "question", "nothing was asked but what to do with the plan"
    await ann.answer_request(asked, "stop")
    run = (await ann.event("run_completed"))["runId"]
    return ann.heard("tool_call_failed", runId=run)


@pytest.mark.usefixtures("extended")
async def test_no_way_changes_anything(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="plan")
        failed = await plan_with(ann, session, *WAYS.values())
        assert [event["error"]["kind"] for event in failed] == ["denied"] * len(WAYS)
        assert all("Plan mode" in event["error"]["message"] for event in failed)
        assert ann.heard("tool_call_started", "agent_started") == []
        assert ann.notifications("tool/call") == []
        assert (await ann.call("session/list", parent=session))["sessions"] == []
    unchanged(home)


@pytest.mark.usefixtures("extended")
async def test_no_rule_made_before_opens_a_way(home):
    """Each is allowed where it may be, for the session or for good; then the session plans."""
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="ask")
        ways = [call for call in WAYS.values() if call[0] != "delegate"]
        await ann.prompt(session, script(*(calling(call) for call in ways), DONE))
        for call in ways:
            asked = await ann.event("request_opened")
            assert asked["detail"]["tool"] == call[0]
            ids = {option["id"] for option in asked["options"]}
            await ann.answer_request(asked, "allow", scope="always" if "allow_always" in ids else "session")
            if call[0] == "looks":
                hosted = await ann.notification("tool/call")
                done = {"toolCallId": hosted["toolCallId"], "result": []}
                await ann.call("tool/complete", sessionId=session, **done)
        await ann.end()
        assert ann.heard("tool_call_failed") == []
        rules = (await ann.call("rule/list", sessionId=session))["rules"]
        assert len(rules) == len(ways)
        (home.work / "new").unlink()

        await ann.call("session/update", sessionId=session, mode="plan")
        failed = await plan_with(ann, session, *ways)
        assert [event["error"]["kind"] for event in failed] == ["denied"] * len(ways)
    unchanged(home)


@pytest.mark.usefixtures("extended")
async def test_what_is_of_a_reading_kind_runs(home):
    """The same session, so that the refusals above are not of everything."""
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="plan")
        await ann.prompt(session, script(calling(("read", {"path": "kept"}), ("reads", {})), DONE))
        hosted = await ann.notification("tool/call")
        assert hosted["tool"] == "reads"
        done = {"toolCallId": hosted["toolCallId"], "result": []}
        await ann.call("tool/complete", sessionId=session, **done)
        await ann.answer_request(await ann.event("request_opened", kind="question"), "stop")
        await ann.end()
        assert len(ann.heard("tool_call_completed")) == 2


@pytest.mark.usefixtures("extended")
async def test_a_sub_agent_that_runs_is_narrowed_with_its_parent_and_so_are_those_below_it(home):
    """Each waits for the answer to a command; the parent is switched; the answer opens nothing any more."""
    ways = [calling(call) for call in WAYS.values() if call[0] != "looks"]
    below = delegate(calling(shell("touch new")), *ways, DONE)
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="auto")
        await ann.prompt(session, script(calling(delegate(calling(below), DONE)), DONE))
        child = (await ann.event("agent_started"))["sessionId"]
        await ann.follow(child)
        grandchild = (await ann.event("agent_started", session=child))["sessionId"]
        await ann.follow(grandchild)
        asked = await ann.event("request_opened", session=grandchild)
        await ann.call("session/update", sessionId=session, mode="plan")
        await ann.answer_request(asked, "allow")
        await ann.event("agent_completed", session=child)
        failed = ann.heard("tool_call_failed", session=grandchild)
        assert [event["error"]["kind"] for event in failed] == ["denied"] * (1 + len(ways))
        assert ann.heard("tool_call_started", session=grandchild) == []
        question = await ann.event("request_opened", kind="question")
        assert question["session"] == session, "a sub-agent's plan is its parent's"
        await ann.answer_request(question, "stop")
        await ann.event("run_completed", session=session)
    unchanged(home)


@pytest.mark.usefixtures("extended")
async def test_a_sub_agent_that_plans_gives_its_plan_as_its_result(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="auto")
        await ann.prompt(session, script(calling(delegate(calling(WRITE), {"text": "the plan"})), DONE))
        await ann.call("session/update", sessionId=session, mode="auto")
        completed = await ann.event("agent_completed")
        assert completed["result"] == "the plan"
        await ann.end()
        assert ann.heard("plan_generated", "request_opened") == []
