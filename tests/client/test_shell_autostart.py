"""The first client starts the daemon, once, whatever lies about. With the real daemon."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from shell_world import WAIT_S, Home, Peer, ScriptedDaemon

from holdfast_client.shell import spawn

CLIENTS = 20

HANG = "script:\n  - text: I wait.\n    hang: true\n"


def daemons_of(home: Home) -> list[int]:
    """Give the pids of all daemons of a home, by what they were started with."""
    wanted = f"HOLDFAST_HOME={home.path}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            environ = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # It has ended meanwhile.
        if b"holdfastd" in command and wanted in environ:
            found.append(int(process.name))
    return found


def test_the_first_run_starts_a_daemon_that_stays(home: Home) -> None:
    ran = home.run("run", "say hello there")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("hello there\n")
    assert daemons_of(home) == [home.status()["server"]["pid"]]


def test_commands_that_only_look_start_nothing(home: Home) -> None:
    for command in (("ps",), ("status",), ("cancel", "x"), ("stop",), ("watch", "x")):
        ran = home.run(*command)

        assert ran.returncode == 69
        assert "daemon not running" in ran.stdout + ran.stderr

    assert daemons_of(home) == []


def test_the_daemon_outlives_the_process_group_of_its_starter(home: Home) -> None:
    starter = home.start("run", "--detach", "say hello", start_new_session=True)
    assert starter.wait(60) == 0
    starter.stdout.close()
    starter.stderr.close()
    with pytest.raises(ProcessLookupError):
        os.killpg(starter.pid, signal.SIGHUP)

    assert home.status()["running"] is True


def test_d01_a_lock_that_names_a_live_foreign_process_does_not_keep_the_daemon_from_starting(
    home: Home,
) -> None:
    for path in (Path(home.locations.start_lock), Path(home.locations.state) / "daemon.lock"):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(f"{os.getpid()}\n")

    assert home.run("run", "say hello").returncode == 0


def wrapped_daemon(home: Home, options: str) -> dict[str, str]:
    """Give the environment in which the daemon is started with further options."""
    stand_in = home.path / "holdfastd"
    stand_in.write_text(f'#!/bin/sh\nexec {Path(sys.executable).with_name("holdfastd")} {options} "$@"\n')
    stand_in.chmod(0o700)
    return {"HOLDFAST_DAEMON": str(stand_in)}


def test_d02_a_daemon_that_ends_late_leaves_its_successor_s_socket_alone(home: Home) -> None:
    session_id = home.run("run", "--detach", HANG).stdout.strip()
    first = home.status()["server"]["pid"]
    ended = os.pidfd_open(first)
    stopping = home.start("stop")
    assert stopping.stderr.readline() == "waiting for 1 run\n"
    home.run("cancel", session_id)
    while home.run("run", "say hello").returncode == 75:
        pass  # The first still takes its leave; each try asks it, or starts the second.
    select.select([ended], [], [], WAIT_S)
    os.close(ended)
    stopping.communicate(timeout=WAIT_S)
    second = home.status()

    assert second["running"] is True
    assert second["server"]["pid"] != first
    assert daemons_of(home) == [second["server"]["pid"]]


def test_d03_clients_that_come_as_the_idle_daemon_leaves_are_served(home: Home) -> None:
    environ = wrapped_daemon(home, "--idle-exit 0.001")
    results = [home.run("run", f"say {number}", env=environ) for number in range(6)]

    assert [(ran.returncode, ran.stderr.count("Traceback")) for ran in results] == [(0, 0)] * 6
    assert [ran.stdout.split()[-1] for ran in results] == [str(number) for number in range(6)]


def test_d04_twenty_clients_at_once_beside_a_busy_machine_get_one_daemon(home: Home) -> None:
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        clients = [home.start("run", "--detach", f"say {number}") for number in range(CLIENTS)]
        results = [(*client.communicate(timeout=110), client.returncode) for client in clients]
    finally:
        hog.kill()
        hog.wait()

    assert [code for _, _, code in results] == [0] * CLIENTS, [err for _, err, _ in results]
    created = {out.strip() for out, _, _ in results}
    listed = {row["sessionId"] for row in json.loads(home.run("ps", "--all", "--json").stdout)["sessions"]}
    assert len(created) == CLIENTS
    assert created == listed
    assert daemons_of(home) == [home.status()["server"]["pid"]]


def test_d05_a_daemon_that_cannot_start_says_why_and_leaves_no_lock(home: Home) -> None:
    Path(home.locations.state).write_text("in the way")
    failed = home.run("run", "say hello")

    assert failed.returncode == 69
    assert home.locations.state in failed.stderr

    Path(home.locations.state).unlink()

    assert home.run("run", "say hello").returncode == 0


def test_d05_what_the_daemon_says_is_shown(home: Home) -> None:
    """The socket's place is taken by a directory: the daemon starts to start, and fails."""
    Path(home.locations.socket).mkdir(parents=True)
    Path(home.locations.runtime).chmod(0o700)
    failed = home.run("run", "say hello")

    assert failed.returncode == 69
    assert "the daemon could not start" in failed.stderr
    assert home.locations.socket in failed.stderr


def test_d06_stop_leaves_the_process_of_a_forged_record_alone(home: Home) -> None:
    foreign = subprocess.Popen(["sleep", "120"])
    try:
        home.write_record(pid=foreign.pid)
        for arguments in (("stop",), ("stop", "--now")):
            assert home.run(*arguments).returncode == 69
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


def test_d06_stop_signals_nobody_even_if_who_answers_names_a_foreign_process(home: Home) -> None:
    foreign = subprocess.Popen(["sleep", "120"])

    def claims(peer: Peer) -> None:
        peer.shake_hands(pid=foreign.pid)
        assert peer.answer({"activeRuns": 0})["method"] == "daemon/shutdown"

    try:
        with ScriptedDaemon(home, claims):
            assert home.run("stop", "--now").returncode == 0
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


def test_a_forged_record_does_not_keep_the_daemon_from_starting(home: Home) -> None:
    home.write_record(pid=os.getpid())

    assert home.run("run", "say hello").returncode == 0
    assert home.status()["server"]["pid"] != os.getpid()


@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_a_runtime_directory_that_others_can_enter_is_refused(home: Home, mode: int) -> None:
    Path(home.locations.runtime).mkdir()
    Path(home.locations.runtime).chmod(mode)
    refused = home.run("run", "say hello")

    assert refused.returncode == 69
    assert "mode 0700" in refused.stderr
    assert daemons_of(home) == []


def test_a_lock_file_behind_a_symbolic_link_is_refused(home: Home) -> None:
    Path(home.locations.runtime).mkdir(mode=0o700)
    target = home.path / "target"
    target.touch(mode=0o600)
    Path(home.locations.start_lock).symlink_to(target)

    assert home.run("run", "say hello").returncode == 69
    assert daemons_of(home) == []


def test_a_start_waits_for_a_predecessor_that_still_holds_its_log(home: Home) -> None:
    """Its socket is closed, its lock is not: the start is tried again until the lock is free."""
    counter = home.path / "tries"
    stand_in = home.path / "holdfastd"
    real = Path(sys.executable).with_name("holdfastd")
    stand_in.write_text(
        f'#!/bin/sh\necho x >> {counter}\n[ $(wc -l < {counter}) -ge 3 ] || exit 75\nexec {real} "$@"\n'
    )
    stand_in.chmod(0o700)
    ran = home.run("run", "say hello", env={"HOLDFAST_DAEMON": str(stand_in)})

    assert ran.returncode == 0, ran.stderr
    assert counter.read_text().count("x") == 3


def test_run_right_after_stop_is_served(home: Home) -> None:
    for _ in range(3):
        assert home.run("run", "say hello").returncode == 0
        assert home.run("stop").returncode == 0

    assert home.run("run", "say hello").returncode == 0


def test_a_second_daemon_on_the_same_state_names_the_first(home: Home) -> None:
    home.run("run", "say hello")
    pid = home.status()["server"]["pid"]
    Path(home.locations.record).rename(home.path / "record")
    try:
        refused = subprocess.run(
            [Path(sys.executable).with_name("holdfastd")],
            env=home.environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        (home.path / "record").rename(home.locations.record)

    assert refused.returncode != 0
    assert str(pid) in refused.stderr


def test_a_second_daemon_on_the_same_state_has_an_exit_code_of_its_own(home: Home) -> None:
    """So that a start can tell a predecessor that is still ending from a daemon that cannot start."""
    home.run("run", "say hello")
    second = subprocess.run(
        [Path(sys.executable).with_name("holdfastd")],
        env=home.environ,
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert second.returncode == spawn.STATE_IN_USE_EXIT_CODE
