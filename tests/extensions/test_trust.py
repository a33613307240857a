"""Trust: nothing of a project is read before its directory is trusted, and then only of that directory."""

import os

import pytest
from plugin_folders import make_plugin

from holdfast_daemon.extensions.instructions import INSTRUCTIONS_BYTES_MAX, project_instructions
from holdfast_daemon.extensions.plugins import Plugins
from holdfast_daemon.extensions.trust import PLACES, MemoryTable, NotTrustable, Trust


@pytest.fixture
def home(tmp_path):
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def trust(home):
    return Trust(MemoryTable(), home)


def make_project(home, name="project"):
    project = home / name
    make_plugin(project / ".holdfast" / "plugins", "prompts:\n  - {name: greet, file: a.md}\n", name="theirs")
    (project / ".holdfast" / "plugins" / "theirs" / "a.md").write_text("Hello")
    (project / ".holdfast" / "commands").mkdir()
    (project / ".holdfast" / "commands" / "go.md").write_text("Go")
    (project / "AGENTS.md").write_text("Be kind.")
    return project


async def test_the_project_is_the_nearest_directory_with_a_mark(home, trust):
    project = make_project(home)
    inner = project / "a" / "b"
    inner.mkdir(parents=True)
    found = await trust.project(str(inner))
    assert found.path == str(project)
    assert found.has == (".holdfast/plugins", ".holdfast/commands", "AGENTS.md")
    (project / "a" / ".git").mkdir()
    (project / "a" / ".git" / "HEAD").touch()
    assert (await trust.project(str(inner))).path == str(project / "a")


async def test_the_home_and_what_is_above_is_no_project_of_what_is_below(home, trust):
    (home / ".holdfast" / "plugins").mkdir(parents=True)
    (home.parent / ".git").write_text("gitdir: elsewhere")
    plain = home / "plain"
    plain.mkdir()
    assert (await trust.project(str(plain))).path == str(plain)
    assert (await trust.project(str(home))).path == str(home)


async def test_an_empty_directory_is_no_mark_and_nothing_to_ask_about(home, trust):
    """A sandbox makes such directories for as long as a process runs."""
    project = make_project(home)
    inner = project / "inner"
    inner.mkdir()
    await trust.trust(str(project), now=1.0)
    for name in (".git", ".holdfast", ".vscode", ".envrc"):
        (inner / name).mkdir()
    assert (await trust.project(str(inner))).path == str(project)
    assert await trust.is_trusted(str(project))

    plain = home / "plain"
    for name in (".git", ".holdfast/plugins", "AGENTS.md"):
        (plain / name).mkdir(parents=True)
    found = await trust.project(str(plain))
    assert (found.path, found.has) == (str(plain), ())


async def test_a_working_tree_and_a_folder_with_commands_are_projects(home, trust):
    top = make_project(home)
    for name in ("tree", "commands"):
        (top / name / "deep").mkdir(parents=True)
    (top / "tree" / ".git").write_text("gitdir: /elsewhere")
    (top / "commands" / ".holdfast" / "commands").mkdir(parents=True)
    assert (await trust.project(str(top / "tree" / "deep"))).path == str(top / "tree")
    assert (await trust.project(str(top / "commands" / "deep"))).path == str(top / "commands")


async def test_instructions_anywhere_down_to_the_directory_are_asked_about(home, trust):
    project = home / "project"
    inner = project / "a" / "b"
    inner.mkdir(parents=True)
    (project / ".git").mkdir()
    (project / ".git" / "HEAD").touch()
    (inner / "AGENTS.md").write_text("Be brief.")
    (project / "elsewhere").mkdir()
    assert (await trust.project(str(inner))).has == ("AGENTS.md",)
    assert (await trust.project(str(inner.parent))).has == ()
    assert (await trust.project(str(project / "elsewhere"))).has == ()


async def test_a_trusted_directory_says_nothing_of_others(home, trust):
    project = make_project(home)
    inner = make_project(project, "inner")
    await trust.trust(str(project), now=1.0)
    assert await trust.is_trusted(str(project))
    assert not await trust.is_trusted(str(inner))
    assert not await trust.is_trusted(str(home))
    assert [(directory.path, directory.trusted_at) for directory in await trust.list()] == [
        (str(project), 1.0)
    ]
    assert await trust.remove(str(project))
    assert not await trust.remove(str(project))
    assert not await trust.is_trusted(str(project))


async def test_a_link_to_a_project_is_the_project(home, trust):
    project = make_project(home)
    (home / "link").symlink_to(project)
    assert (await trust.project(str(home / "link"))).path == str(project)
    await trust.trust(str(home / "link"), now=1.0)
    assert await trust.is_trusted(str(project))


async def test_a_directory_anyone_may_write_cannot_be_trusted(home, trust):
    project = make_project(home)
    await trust.trust(str(project), now=1.0)
    (project / ".holdfast").chmod(0o777)
    assert not await trust.is_trusted(str(project))
    with pytest.raises(NotTrustable, match="can be written by anyone"):
        await trust.trust(str(project), now=1.0)
    with pytest.raises(NotTrustable, match="is gone"):
        await trust.trust(str(home / "nowhere"), now=1.0)


@pytest.mark.parametrize("name", PLACES)
async def test_what_anyone_may_write_in_it_takes_its_trust(home, trust, name):
    project = make_project(home)
    await trust.trust(str(project), now=1.0)
    place = project / name
    place.chmod(place.stat().st_mode | 0o002)
    assert not await trust.is_trusted(str(project))
    with pytest.raises(NotTrustable, match="can be written by anyone"):
        await trust.trust(str(project), now=1.0)


@pytest.mark.parametrize("name", [".holdfast", ".holdfast/plugins", ".holdfast/commands"])
async def test_what_leads_out_of_it_takes_its_trust(home, trust, name):
    project = make_project(home)
    await trust.trust(str(project), now=1.0)
    (project / name).rename(home / "elsewhere")
    (project / name).symlink_to(home / "elsewhere")
    assert not await trust.is_trusted(str(project))
    with pytest.raises(NotTrustable, match="is a symlink"):
        await trust.trust(str(project), now=1.0)


async def test_instructions_that_are_a_link_are_not_read_and_leave_the_rest_trusted(home, trust):
    project = make_project(home)
    (project / "AGENTS.md").rename(project / "CLAUDE.md")
    (project / "AGENTS.md").symlink_to("CLAUDE.md")
    await trust.trust(str(project), now=1.0)
    assert await trust.is_trusted(str(project))
    (found,) = project_instructions(str(project), str(project))
    assert (found.text, found.problem) == ("", "is a symlink")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("name", [".", *PLACES])
async def test_a_directory_of_another_user_cannot_be_trusted(home, trust, name):
    project = make_project(home)
    os.chown(project / name, 12345, 12345)
    with pytest.raises(NotTrustable, match="belongs to another user"):
        await trust.trust(str(project), now=1.0)


async def test_instructions_below_that_anyone_may_write_are_not_read(home):
    project = make_project(home)
    (project / "a").mkdir()
    below = project / "a" / "AGENTS.md"
    below.write_text("Be bad.")
    below.chmod(0o666)
    _, found = project_instructions(str(project), str(project / "a"))
    assert (found.text, found.problem) == ("", "can be written by anyone")


async def test_a_plugins_folder_of_a_project_that_is_a_link_is_off(home, trust, tmp_path):
    """Where it leads, a command may change while the project's own folder stays as it is."""
    project = make_project(home)
    await trust.trust(str(project), now=1.0)
    place = project / ".holdfast" / "plugins"
    (place / "theirs").rename(project / "theirs")
    (place / "theirs").symlink_to(project / "theirs")
    (loaded,) = (await Plugins(tmp_path / "config", trust).of(str(project))).plugins
    assert loaded.status == "failed"
    assert "is a symlink" in loaded.problems[0].message


async def test_nothing_of_a_project_is_opened_before_it_is_trusted(home, trust, tmp_path):
    project = make_project(home)
    os.mkfifo(project / ".holdfast" / "plugins" / "theirs" / "trap.py")
    make_plugin(tmp_path / "config" / "plugins", name="mine")
    plugins = Plugins(tmp_path / "config", trust)
    manifest = project / ".holdfast" / "plugins" / "theirs" / "plugin.yaml"
    os.utime(manifest, ns=(0, 10**18))

    before = await plugins.of(str(project))
    assert (before.project, before.trusted) == (str(project), False)
    assert [loaded.plugin.name for loaded in before.plugins] == ["mine"]
    assert before.commands == ()
    assert manifest.stat().st_atime_ns == 0

    await trust.trust(str(project), now=1.0)
    after = await plugins.of(str(project))
    assert [(loaded.plugin.name, loaded.plugin.scope) for loaded in after.plugins] == [
        ("mine", "user"),
        ("theirs", "project"),
    ]
    assert [(command.name, command.source) for command in after.commands] == [
        ("go", "project"),
        ("greet", "plugin"),
    ]

    await trust.remove(str(project))
    assert (await plugins.of(str(project))).plugins == before.plugins


async def test_a_reload_reads_anew_and_nothing_else_does(home, trust, tmp_path):
    place = tmp_path / "config" / "plugins"
    make_plugin(
        place, "skills:\n  - module: code_of:old\n", name="mine", code_of="def old(): pass\ndef new(): pass"
    )
    plugins = Plugins(tmp_path / "config", trust)
    (loaded,) = (await plugins.of(str(home))).plugins
    assert [skill.name for skill in loaded.skills] == ["old"]
    assert loaded.status == "loaded"
    make_plugin(place, "skills:\n  - module: code_of:new\n  - module: code_of:gone\n", name="mine")
    assert (await plugins.of(str(home))).plugins == (loaded,)
    plugins.forget()
    (loaded,) = (await plugins.of(str(home))).plugins
    assert [skill.name for skill in loaded.skills] == ["new"]
    assert (loaded.status, loaded.problems[0].line) == ("partly", 5)


async def test_a_projects_command_comes_before_a_plugins_and_that_before_the_users(home, trust, tmp_path):
    project = make_project(home)
    config = tmp_path / "config"
    (config / "commands").mkdir(parents=True)
    for name in ("go", "greet", "own"):
        (config / "commands" / f"{name}.md").write_text("---\ndescription: Mine\n---\nmine $ARGUMENTS")
    (config / "commands" / "bad name.md").write_text("x")
    (config / "commands" / "large.md").write_text("x" * 100_000)
    await trust.trust(str(project), now=1.0)
    commands = (await Plugins(config, trust).of(str(project))).commands
    found = {command.name: (command.source, command.command.expand("it")) for command in commands}
    assert found == {
        "go": ("project", "Go\n\nit"),
        "greet": ("plugin", "Hello\n\nit"),
        "own": ("user", "mine it"),
    }


def test_instructions_come_from_the_project_down_to_the_directory(home):
    project = make_project(home)
    inner = project / "a" / "b"
    inner.mkdir(parents=True)
    (home / "AGENTS.md").write_text("not mine")
    (inner / "AGENTS.md").write_text("Be brief.")
    found = project_instructions(str(project), str(inner))
    assert [each.text for each in found] == ["Be kind.", "Be brief."]


def test_instructions_that_cannot_be_read_say_why(home):
    project = make_project(home)
    (project / "AGENTS.md").write_text("x" * (INSTRUCTIONS_BYTES_MAX + 1))
    (project / "a").mkdir()
    (project / "a" / "AGENTS.md").symlink_to("/etc/passwd")
    large, link = project_instructions(str(project), str(project / "a"))
    assert (large.text, large.problem) == ("", f"is larger than {INSTRUCTIONS_BYTES_MAX} bytes")
    assert (link.text, link.problem) == ("", "is a symlink")
