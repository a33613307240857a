"""Our directories are those of platformdirs, which the command's fast path cannot afford to import."""

import sys
from pathlib import Path

import platformdirs
import pytest

from holdfast_protocol.discovery import locations

XDG = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """No XDG variable is set, and the home directory is the test's."""
    for name in XDG:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def ours(environ, home):
    return locations(environ, str(home), sys.platform)


def test_the_config_directory_is_the_platforms(bare):
    assert ours({}, bare).config == platformdirs.user_config_dir("holdfast")


def test_the_state_directory_is_the_platforms_or_below_it(bare):
    assert Path(ours({}, bare).state).is_relative_to(platformdirs.user_state_dir("holdfast"))


@pytest.mark.skipif(sys.platform == "darwin", reason="Application Support, whatever XDG says")
def test_xdg_variables_move_ours_where_they_move_the_platforms(bare, monkeypatch):
    environ = {name: f"/somewhere/{name.lower()}" for name in XDG}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    found = ours(environ, bare)

    assert found.config == platformdirs.user_config_dir("holdfast")
    assert found.state == platformdirs.user_state_dir("holdfast")
    assert found.runtime == platformdirs.user_runtime_dir("holdfast")


def test_without_a_runtime_directory_ours_is_private_where_the_platforms_may_be_shared(bare):
    assert Path(ours({}, bare).runtime).is_relative_to(ours({}, bare).state)
