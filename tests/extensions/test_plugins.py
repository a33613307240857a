"""Plugins of several places, read beside each other: nobody waits for what he did not ask for."""

import os

import anyio
import pytest
from plugin_folders import make_plugin

from holdfast_daemon.extensions.plugins import Plugins
from holdfast_daemon.extensions.trust import MemoryTable, Trust

WAITS = """
from pathlib import Path

Path({says!r}).write_text("x")
Path({hears!r}).open("rb", buffering=0).read(1)

def skill() -> str:
    return ""
"""
"""A module whose import says that it began, and goes on when it is told to."""


class Fifos:
    """Two names at which an import and a test meet."""

    def __init__(self, folder):
        self.says, self.hears = folder / "says", folder / "hears"
        for path in (self.says, self.hears):
            os.mkfifo(path)
        self._saying, self._hearing = (os.open(path, os.O_RDWR) for path in (self.says, self.hears))

    async def begun(self):
        with anyio.fail_after(15):
            await anyio.wait_readable(self._saying)

    def go_on(self):
        os.write(self._hearing, b"x")

    def close(self):
        os.close(self._saying)
        os.close(self._hearing)


@pytest.fixture
def fifos(tmp_path):
    made = Fifos(tmp_path)
    yield made
    made.close()


@pytest.fixture
def home(tmp_path):
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def config(tmp_path):
    return tmp_path / "config"


def waiting_plugin(place, name, says, hears):
    source = WAITS.format(says=str(says), hears=str(hears))
    make_plugin(place, "skills:\n  - module: waiting:skill\n", name=name, waiting=source)


def project_of(home, name):
    place = home / name / ".holdfast" / "plugins"
    place.mkdir(parents=True)
    return place


async def plugins_of(config, home, *projects, **options):
    trust = Trust(MemoryTable(), home)
    for project in projects:
        await trust.trust(str(home / project), now=1.0)
    return Plugins(config, trust, **options)


async def test_a_project_whose_plugin_hangs_holds_nobody_up_elsewhere(home, config, fifos):
    waiting_plugin(project_of(home, "slow"), "slow", fifos.says, fifos.hears)
    make_plugin(project_of(home, "quick"), name="quick")
    plugins = await plugins_of(config, home, "slow", "quick")
    found = []

    async def slow():
        found.append(await plugins.of(str(home / "slow")))

    async with anyio.create_task_group() as group:
        group.start_soon(slow)
        await fifos.begun()
        with anyio.fail_after(5):
            (quick,) = (await plugins.of(str(home / "quick"))).plugins
        assert quick.status == "loaded"
        assert found == []
        fifos.go_on()
    assert [skill.name for skill in found[0].plugins[0].skills] == ["skill"]


async def test_who_asks_for_the_same_place_waits_and_it_is_read_once(home, config, fifos):
    waiting_plugin(config / "plugins", "slow", fifos.says, fifos.hears)
    plugins = await plugins_of(config, home)
    found = []

    async def ask():
        found.append((await plugins.of(str(home))).plugins)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await fifos.begun()
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        fifos.go_on()
    assert found[0] == found[1]
    assert found[0][0] is found[1][0]


async def test_plugins_of_one_place_are_described_beside_each_other(home, config):
    """Each import waits for the other: one after the other they would never end."""
    one, other = home / "one", home / "other"
    os.mkfifo(one)
    os.mkfifo(other)
    place = project_of(home, "project")
    waiting_plugin(place, "a", one, other)
    make_plugin(
        place,
        "skills:\n  - module: waiting:skill\n",
        name="b",
        waiting=f"open({str(one)!r}).read()\nopen({str(other)!r}, 'w').close()\ndef skill(): pass",
    )
    plugins = await plugins_of(config, home, "project")
    with anyio.fail_after(30):
        found = (await plugins.of(str(home / "project"))).plugins
    assert [(loaded.plugin.name, loaded.status) for loaded in found] == [("a", "loaded"), ("b", "loaded")]


async def test_a_place_that_takes_too_long_is_listed_with_what_there_is(home, config, fifos):
    place = project_of(home, "project")
    make_plugin(place, name="a")
    waiting_plugin(place, "b", fifos.says, fifos.hears)
    make_plugin(place, "name: c", name="c")
    plugins = await plugins_of(config, home, "project", place_timeout_s=0.5)
    with anyio.fail_after(10):
        found = (await plugins.of(str(home / "project"))).plugins
    assert [(loaded.plugin.name, loaded.status) for loaded in found] == [
        ("a", "loaded"),
        ("b", "partly"),
        ("c", "failed"),
    ]
    (problem,) = found[1].problems
    assert "took longer than 0.5 s" in problem.message
    again = (await plugins.of(str(home / "project"))).plugins
    assert again[1] is found[1], "it is not tried again before a reload"


async def test_what_was_being_read_when_a_reload_came_is_not_kept(home, config, fifos):
    waiting_plugin(config / "plugins", "mine", fifos.says, fifos.hears)
    plugins = await plugins_of(config, home)

    async with anyio.create_task_group() as group:
        group.start_soon(plugins.of, str(home))
        await fifos.begun()
        make_plugin(
            config / "plugins", "skills:\n  - module: waiting:new\n", "mine", waiting="def new(): pass"
        )
        plugins.forget()
        fifos.go_on()
    (loaded,) = (await plugins.of(str(home))).plugins
    assert [skill.name for skill in loaded.skills] == ["new"]
