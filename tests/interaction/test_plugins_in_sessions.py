"""Plugins of live sessions: changed, broken, and their slash commands."""

import os
import sys

import pytest
from extension_world import DONE, Mark, Witness, make_plugin, project_plugin, run_of, said, user_folder
from interaction_world import resident
from person import script
from recorder import NAME

from fakes import mcp_server as greeting_server
from fakes.raw_client import Refused

TELLER = """
def tell() -> str:
    \"\"\"Tell.\"\"\"
    return {said!r}
"""

SKILLS = "skills:\n  - module: telling:tell\n"


@pytest.fixture
def folder(home, monkeypatch):
    """The user's configuration folder, for daemons that are made from now on."""
    return user_folder(monkeypatch, home)


def telling(folder, said, more=""):
    make_plugin(folder / "plugins", SKILLS + more, "teller", telling=TELLER.format(said=said))


async def told(ann, session):
    """Have the skill called in a run; give what it said."""
    run = (await ann.prompt(session, run_of(("tell", {}))))["runId"]
    call = await ann.event("tool_call_completed", "tool_call_failed", runId=run)
    await ann.event("run_completed", runId=run)
    return said(call) if call["type"] == "tool_call_completed" else call["error"]["kind"]


# Reload ------------------------------------------------------------------------------------------------


async def test_changed_code_is_what_the_next_run_after_a_reload_uses(home, folder):
    telling(folder, "first")
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="auto")
        assert await told(ann, session) == "first"
        telling(folder, "second")
        assert await told(ann, session) == "first", "nothing is read again by itself"
        assert (await ann.call("plugin/reload"))["sessions"] == 1
        assert await told(ann, session) == "second"


async def test_what_a_reload_adds_and_takes_away_is_there_and_gone(home, folder):
    telling(folder, "first")
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="auto")
        assert await told(ann, session) == "first"
        (folder / "plugins" / "teller" / "plugin.yaml").unlink()
        make_plugin(folder / "plugins", SKILLS, "other", telling=TELLER.format(said="other"))
        await ann.call("plugin/reload")
        assert await told(ann, session) == "other"
        listed = (await ann.call("plugin/list"))["plugins"]
        assert [(plugin["name"], plugin["status"]) for plugin in listed] == [
            ("other", "loaded"),
            ("teller", "failed"),
        ]


async def test_a_run_that_is_under_way_keeps_what_it_began_with(home, folder):
    mark = Mark(home.path / "mark")
    slow = f"""
    def tell() -> str:
        \"\"\"Tell.\"\"\"
        with open({str(mark.path)!r}, "w") as file:
            file.write("here")
        with open({str(home.path / "go")!r}) as file:
            return file.read()
    """
    os.mkfifo(home.path / "go")
    make_plugin(folder / "plugins", SKILLS, "teller", telling=slow)
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="auto")
        await ann.prompt(session, run_of(("tell", {})))
        await ann.event("tool_call_started")
        assert await mark.reached() == "here"
        telling(folder, "second")
        await ann.call("plugin/reload")
        await ann.call("command/list", sessionId=session)
        descriptor = os.open(home.path / "go", os.O_WRONLY)
        os.write(descriptor, b"let go")
        os.close(descriptor)
        assert said(await ann.event("tool_call_completed")) == "let go"
        await ann.end()
        assert await told(ann, session) == "second"
    mark.close()


# Broken ones -------------------------------------------------------------------------------------------

BROKEN = {
    "bad-yaml": ("skills: [", {}, "failed"),
    "bad-field": ("skills:\n  - modul: telling:tell\n", {}, "failed"),
    "bad-import": (SKILLS, {"telling": "import no_such_module"}, "partly"),
    "dies": (SKILLS, {"telling": "import os\nos._exit(9)"}, "partly"),
    "segfault": (SKILLS, {"telling": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"}, "partly"),
    "endless": (SKILLS, {"telling": "while True: pass"}, "partly"),
    "no-file": ("prompts:\n  - {name: lost, file: lost.md}\n", {}, "failed"),
    "bad-agent": ("agents:\n  - {name: a, class: 'telling:A'}\n", {"telling": "raise SystemExit"}, "partly"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_plugin_is_told_with_its_place_and_takes_nothing_along(
    home, folder, name, monkeypatch
):
    for module in ("skills", "agent_classes"):
        monkeypatch.setattr(f"holdfast_daemon.extensions.{module}.DESCRIBE_TIMEOUT_S", 1.0)
    manifest, files, status = BROKEN[name]
    make_plugin(folder / "plugins", manifest, name, **files)
    telling(folder, "I do")
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="auto")
        assert await told(ann, session) == "I do"
        listed = {plugin["name"]: plugin for plugin in (await ann.call("plugin/list"))["plugins"]}
        assert listed["teller"]["status"] == "loaded"
        broken = listed[name]
        assert broken["status"] == status
        problem = broken["problems"][0]
        assert problem["file"] == str(folder / "plugins" / name / "plugin.yaml")
        assert problem["line"] >= 3, "below the head"
        if name != "bad-yaml":
            assert problem["field"].startswith(("skills", "prompts[0]", "agents[0]"))
        notices = [event["message"] for event in ann.heard("notice", kind="extension_problem")]
        assert len(notices) == len(broken["problems"])
        assert problem["message"] in notices[0]
        await ann.prompt(session, script(DONE))
        await ann.end()
        assert len(ann.heard("notice")) == len(notices), "not with every run"


async def test_a_skill_with_the_name_of_a_tool_of_the_daemons_is_off(home, folder):
    make_plugin(
        folder / "plugins",
        "skills:\n  - {module: 'telling:tell', name: read}\n",
        telling=TELLER.format(said="x"),
    )
    (home.work / "file").write_text("as it is", encoding="utf-8")
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="auto")
        await ann.prompt(session, run_of(("read", {"path": "file"})))
        assert "as it is" in said(await ann.event("tool_call_completed"))
        await ann.end()
        [notice] = ann.heard("notice")
        assert "the tool `read` is off" in notice["message"]


# Slash commands ----------------------------------------------------------------------------------------


@pytest.fixture
def witness(monkeypatch):
    witness = Witness()
    witness.install(monkeypatch)
    return witness


@pytest.fixture
def commands(home, folder):
    """One of the user's, one of a plugin's, one of the project's; the project has all three names."""
    (folder / "commands").mkdir()
    (folder / "commands" / "greet.md").write_text("say hello to $ARGUMENTS", encoding="utf-8")
    plugin = make_plugin(folder / "plugins", "prompts:\n  - {name: part, file: part.md}\n", "teller")
    (plugin / "part.md").write_text("say goodbye", encoding="utf-8")
    project = home.work / ".holdfast" / "commands"
    project.mkdir(parents=True)
    (project / "greet.md").write_text("say the project greets $ARGUMENTS", encoding="utf-8")


async def seen_by_model(ann, session, witness, text, **more):
    """Prompt; give the event, and what the model was shown."""
    await ann.prompt(session, text, **more)
    received = await ann.event("prompt_received")
    await ann.end()
    return received, witness.asked[-1][-1][1]


@pytest.mark.usefixtures("commands")
async def test_what_a_command_stands_for_is_the_prompt_and_what_was_typed_is_kept(home, witness):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, model=NAME, unattended="deny")
        typed = "/greet the whole world"
        await ann.prompt(session, typed)
        received = await ann.event("prompt_received")
        assert (received["command"], received["content"][0]["text"]) == (
            typed,
            "say hello to the whole world",
        )
        await ann.answer_request(await ann.event("request_opened"), "deny")
        await ann.end()
        assert witness.asked[-1] == [("user", "say hello to the whole world")]
        received, shown = await seen_by_model(ann, session, witness, "/part")
        assert (received["command"], shown) == ("/part", "say goodbye")


@pytest.mark.usefixtures("commands")
async def test_a_trusted_projects_command_comes_first_and_an_untrusted_ones_not_at_all(home, witness):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, model=NAME)
        await ann.prompt(session, "/greet you")
        assert (await ann.event("prompt_received"))["content"][0]["text"] == "say hello to you"
        await ann.answer_request(await ann.event("request_opened"), "allow_always")
        await ann.end()
        received, shown = await seen_by_model(ann, session, witness, "/greet you")
        assert shown == received["content"][0]["text"] == "say the project greets you"
        listed = (await ann.call("command/list", sessionId=session))["commands"]
        assert [(each["name"], each["source"]) for each in listed] == [
            ("greet", "project"),
            ("part", "plugin"),
        ]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("text", ["/nothing of the kind", "/", "//greet", " /greet", "say /greet"])
async def test_what_is_no_command_stays_what_was_typed(home, witness, text):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, model=NAME)
        received, shown = await seen_by_model(ann, session, witness, text)
        assert "command" not in received
        assert shown == received["content"][0]["text"] == text


@pytest.mark.usefixtures("commands")
async def test_a_command_that_waits_is_what_it_stood_for_when_it_was_sent(home, folder, witness):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        other = home.path / "other"
        other.mkdir()
        session = await ann.begin(other, model=NAME)
        await ann.prompt(session, script({"text": "so far", "hang": True}))
        await ann.event("token_delta")
        assert (await ann.prompt(session, "/greet you", promptId="p"))["status"] == "queued"
        again = await ann.prompt(session, "/greet you", promptId="p")
        assert again["replayed"], "the same prompt is one, though a command stood in it"
        (folder / "commands" / "greet.md").write_text("say something else", encoding="utf-8")
        await ann.call("session/cancel", sessionId=session)
        await ann.event("run_cancelled")
        await ann.event("run_completed")
        assert witness.asked[-1][-1] == ("user", "say hello to you")
        assert len(ann.heard("prompt_received", promptId="p")) == 1


@pytest.mark.usefixtures("folder")
async def test_a_prompt_of_a_server_is_a_command_and_one_it_cannot_give_is_refused(home, witness):
    words = {
        "type": "stdio",
        "name": "told",
        "command": sys.executable,
        "args": ["-S", greeting_server.__file__],
    }
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, model=NAME, mcpServers=[words])
        received, shown = await seen_by_model(ann, session, witness, "/told:greet Ada")
        assert (received["command"], shown) == ("/told:greet Ada", "Say hello to Ada.")
        with pytest.raises(Refused) as refused:
            await ann.prompt(session, "/told:greet")
        data = refused.value.error["data"]
        assert (data["kind"], data["path"]) == ("invalid_params", "$.content[0].text")
        assert len(ann.heard("prompt_received")) == 1


async def test_a_plugin_of_the_project_says_where_no_key_goes(home, folder):
    """A repository cannot have the user's key sent to itself."""
    project_plugin(home, "models:\n  - {provider: anthropic, name: m, base_url: 'http://127.0.0.1:9'}\n")
    assert folder.exists()
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, "say hello")
        await ann.answer_request(await ann.event("request_opened"), "allow_always")
        await ann.end()
        [plugin] = (await ann.call("plugin/list", sessionId=session))["plugins"]
        assert (plugin["status"], plugin["problems"][0]["field"]) == ("failed", "models[0].base_url")
