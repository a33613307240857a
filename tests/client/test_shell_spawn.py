"""Executing the daemon: which program, in which surroundings, and what is said when it will not."""

import json
import os
import sys
from pathlib import Path

import pytest
from shell_world import Home

from holdfast_client.shell import spawn
from holdfast_client.shell.exit_codes import UNREACHABLE, Unreachable


def program(home: Home, body: str, name: str = "holdfastd") -> str:
    """Write a program that stands in for a daemon that will not start."""
    path = home.path / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return str(path)


@pytest.fixture
def start(home: Home, monkeypatch: pytest.MonkeyPatch):
    """Start a stand-in and give the error."""

    def started(body: str, timeout_s: float = 10.0) -> Unreachable:
        monkeypatch.setenv("HOLDFAST_DAEMON", program(home, body))
        with pytest.raises(Unreachable) as raised:
            spawn.start(home.locations, timeout_s)
        process = spawn._started.pop()
        process.kill()
        process.wait()
        return raised.value

    return started


def test_what_a_daemon_says_before_it_dies_is_passed_on_without_control_characters(start) -> None:
    error = start("printf 'the disk is full\\033[31m\\n' >&2; exit 3")

    assert error.message == "the daemon could not start (status 3)\n  the disk is full"
    assert error.exit_code == UNREACHABLE


def test_only_what_this_start_wrote_into_the_log_is_passed_on(home: Home, start) -> None:
    start("echo earlier >&2; exit 1")

    assert "earlier" not in start("echo now >&2; exit 1").message
    assert Path(home.locations.log).read_text() == "earlier\nnow\n"


def test_what_is_passed_on_is_bounded(start) -> None:
    message = start("seq 1 100000 >&2; exit 1").message

    assert len(message) < 1000
    assert len(message.splitlines()) == 21


def test_another_daemon_on_the_same_state_is_told_apart_from_other_failures(start) -> None:
    assert isinstance(start("echo 'Another daemon (pid 7) uses it.' >&2; exit 75"), spawn.StateInUse)
    assert not isinstance(start("exit 1"), spawn.StateInUse)


def test_a_daemon_that_is_not_ready_in_time_is_given_up(home: Home, start) -> None:
    error = start("echo thinking >&2; exec sleep 60", 1.0)

    assert error.message == (
        f"the daemon was not ready within 1 s; its log is {home.locations.log}\n  thinking"
    )


def test_a_start_that_was_ready_gives_what_the_daemon_wrote(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = json.dumps({"instanceId": "i1"})
    monkeypatch.setenv("HOLDFAST_DAEMON", program(home, f"echo '{ready}' > /dev/fd/$2"))

    assert spawn.start(home.locations, 10.0) == {"instanceId": "i1"}
    spawn._started.pop().wait()


def test_the_daemon_gets_no_secrets_no_terminal_and_no_directory_of_its_starter(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "HOLDFAST_DAEMON", program(home, f"env > {home.path}/env; pwd >> {home.path}/env; exit 1")
    )
    monkeypatch.setenv("HOLDFAST_HOME", str(home.path))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("LC_CTYPE", "C.UTF-8")
    with pytest.raises(Unreachable):
        spawn.start(home.locations, 10.0)
    spawn._started.pop().wait()

    lines = (home.path / "env").read_text().splitlines()
    names = {line.partition("=")[0] for line in lines[:-1]}
    assert lines[-1] == "/"
    assert f"HOLDFAST_HOME={home.path}" in lines
    assert {"PATH", "LC_CTYPE"} <= names
    assert "ANTHROPIC_API_KEY" in names
    assert "PYTHONPATH" not in names


def test_the_daemon_runs_in_a_session_of_its_own(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_DAEMON", program(home, f"cat /proc/$$/stat > {home.path}/stat; exit 1"))
    with pytest.raises(Unreachable):
        spawn.start(home.locations, 10.0)
    process = spawn._started.pop()
    process.wait()

    session = (home.path / "stat").read_text().rpartition(")")[2].split()[3]
    assert int(session) == process.pid != os.getsid(0)


def test_only_allow_listed_names_reach_the_daemon(home: Home) -> None:
    given = {
        "PATH": "/bin",
        "HOME": "/root",
        "USER": "me",
        "TMPDIR": "/tmp",
        "LANG": "C",
        "LC_ALL": "C",
        "XDG_STATE_HOME": "/state",
        "HOLDFAST_HOME": "relative",
        "OPENAI_API_KEY": "sk",
        "API_KEY": "of nobody",
        "AWS_SECRET_ACCESS_KEY": "no model's",
        "CLAUDECODE": "1",
        "LD_PRELOAD": "evil.so",
        "SSH_AUTH_SOCK": "/agent",
        "MY_HOME": "no",
    }

    assert spawn.daemon_environment(given, home.locations) == {
        "PATH": "/bin",
        "HOME": "/root",
        "USER": "me",
        "TMPDIR": "/tmp",
        "LANG": "C",
        "LC_ALL": "C",
        "XDG_STATE_HOME": "/state",
        "HOLDFAST_HOME": str(home.path),
        "OPENAI_API_KEY": "sk",
    }


def test_the_daemon_is_the_one_beside_the_command(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    beside = program(home, "exit 1")
    monkeypatch.setattr(sys, "argv", [str(home.path / "holdfast")])

    assert spawn.find_daemon({"PATH": "/usr/bin"}) == beside


def test_else_beside_the_interpreter(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    monkeypatch.setattr(sys, "argv", ["/nowhere/__main__.py"])

    assert spawn.find_daemon({"PATH": str(home.path)}) == str(Path(sys.executable).with_name("holdfastd"))


@pytest.mark.parametrize("argument", ["-c", "holdfast", ""])
def test_the_working_directory_is_never_searched(
    monkeypatch: pytest.MonkeyPatch, home: Home, argument: str
) -> None:
    program(home, "exit 1")
    monkeypatch.chdir(home.path)
    monkeypatch.setattr(sys, "argv", [argument])

    assert spawn.find_daemon({}) == str(Path(sys.executable).with_name("holdfastd"))


def test_else_on_the_path(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    on_path = program(home, "exit 1")
    monkeypatch.setattr(sys, "argv", ["/nowhere/__main__.py"])
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    assert spawn.find_daemon({"PATH": f"/nowhere::relative:{home.path}"}) == on_path


def test_a_daemon_that_is_nowhere_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    monkeypatch.setattr(sys, "argv", ["/nowhere/__main__.py"])
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    (home.path / "holdfastd").mkdir()

    with pytest.raises(Unreachable, match="holdfastd was not found"):
        spawn.find_daemon({"PATH": str(home.path)})


def test_a_log_that_others_could_write_is_refused(home: Home) -> None:
    Path(home.locations.state).mkdir()
    log = Path(home.locations.log)
    log.touch()
    log.chmod(0o666)

    with pytest.raises(Unreachable, match="mode 0600"):
        spawn.start(home.locations, 1.0)
