"""The daemon's own directories lie outside of every session's, wherever they are (security.md T8)."""

import pytest
from tool_calls import Workbench


@pytest.fixture
def house(tmp_path):
    """Give a directory with a hidden one in it, and ways in."""
    (tmp_path / "state" / "deep").mkdir(parents=True)
    (tmp_path / "state" / "token").write_text("secret\n", encoding="utf-8")
    (tmp_path / "state" / "deep" / "log").write_text("secret\n", encoding="utf-8")
    (tmp_path / "seen").write_text("secret that may be seen\n", encoding="utf-8")
    (tmp_path / "link").symlink_to("state")
    (tmp_path / "to_token").symlink_to("state/token")
    return tmp_path


WAYS = ["state/token", "state/deep/log", "link/token", "to_token", "link/../state/token", "./state//token"]


@pytest.mark.parametrize("path", WAYS)
async def test_nothing_hidden_is_read_by_whatever_path(house, path):
    called = await Workbench(house, hidden=(house / "state",)).call("read", path=path)
    assert called.error.kind == "outside_roots"


@pytest.mark.parametrize("tool", ["write", "edit"])
@pytest.mark.parametrize("path", [*WAYS, "state/new", "state/deep/new/file"])
async def test_nothing_hidden_is_changed_or_made(house, tool, path):
    bench = Workbench(house, hidden=(house / "state",))
    arguments = {"content": "hacked"} if tool == "write" else {"old": "secret", "new": "hacked"}
    called = await bench.call(tool, path=path, **arguments)
    assert called.error.kind in ("outside_roots", "symlink")
    assert sorted(found.name for found in (house / "state").rglob("*")) == ["deep", "log", "token"]
    assert (house / "state" / "token").read_text(encoding="utf-8") == "secret\n"


WALKS = {"list": {"depth": 5}, "glob": {"pattern": "**/*"}, "grep": {"pattern": "secret"}}


@pytest.mark.parametrize("tool", WALKS)
async def test_no_walk_enters_what_is_hidden(house, tool):
    bench = Workbench(house, hidden=(house / "state",))
    (text, *_) = (await bench.call(tool, path=".", **WALKS[tool])).texts
    assert "seen" in text
    assert "deep" not in text
    assert "token" not in text.replace("to_token", "")


@pytest.mark.parametrize("tool", WALKS)
@pytest.mark.parametrize("begin", ["state", "state/deep", "link"])
async def test_no_walk_begins_in_what_is_hidden(house, tool, begin):
    bench = Workbench(house, hidden=(house / "state",))
    assert (await bench.call(tool, path=begin, **WALKS[tool])).error.kind == "outside_roots"


async def test_a_session_that_works_inside_a_hidden_directory_can_touch_nothing(house):
    bench = Workbench(house / "state" / "deep", hidden=(house / "state",))
    assert (await bench.call("read", path="log")).error.kind == "outside_roots"
    assert (await bench.call("write", path="log", content="x")).error.kind == "outside_roots"
