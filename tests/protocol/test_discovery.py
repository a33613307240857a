"""Where a daemon and its clients meet (PROTOCOL.md, "Discovery")."""

import subprocess
import sys

import pytest

from holdfast_protocol.discovery import SUN_PATH_BYTES_MAX, Locations, locations

HOME = "/home/ada"


def test_without_an_environment_everything_is_below_the_home_directory():
    assert locations({}, HOME) == Locations(
        config="/home/ada/.config/holdfast",
        state="/home/ada/.local/state/holdfast",
        runtime="/home/ada/.local/state/holdfast/run",
    )


def test_xdg_directories_are_used():
    environ = {"XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/run/user/1000"}
    assert locations(environ, HOME) == Locations(
        config="/c/holdfast", state="/s/holdfast", runtime="/run/user/1000/holdfast"
    )


@pytest.mark.parametrize("value", ["", "relative", "./x", "~/x"])
def test_an_xdg_directory_that_is_not_absolute_is_ignored(value):
    environ = {"XDG_CONFIG_HOME": value, "XDG_STATE_HOME": value, "XDG_RUNTIME_DIR": value}
    assert locations(environ, HOME) == locations({}, HOME)


def test_the_runtime_directory_is_never_a_shared_one():
    assert locations({"TMPDIR": "/tmp"}, HOME).runtime.startswith(HOME)


def test_holdfast_home_moves_everything_on_every_platform():
    environ = {"HOLDFAST_HOME": "/x", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/r"}
    moved = Locations(config="/x/config", state="/x/state", runtime="/x/run")
    assert locations(environ, HOME) == locations(environ, HOME, "darwin") == moved


def test_on_macos_everything_is_in_application_support():
    base = "/home/ada/Library/Application Support/holdfast"
    environ = {"XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/r"}
    assert locations(environ, HOME, "darwin") == Locations(
        config=base, state=f"{base}/state", runtime=f"{base}/run"
    )


def test_files_carry_the_protocols_major():
    found = Locations(config="/c", state="/s", runtime="/r")
    assert found.record == "/r/daemon-v1.json"
    assert found.socket == "/r/daemon-v1.sock"
    assert found.start_lock == "/r/start-v1.lock"
    assert found.log == "/s/daemon.log"


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_the_usual_socket_path_fits_into_a_socket_address(platform):
    assert len(locations({}, "/Users/somebody.with.a.long-name", platform).socket) <= SUN_PATH_BYTES_MAX


def test_the_fast_path_imports_nothing_but_the_standard_library():
    script = (
        "import sys, holdfast_protocol.discovery; print({'msgspec', 'asyncio'} & set(sys.modules) or 'none')"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert result.stdout.strip() == "none"
