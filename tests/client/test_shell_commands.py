"""The short commands and `watch`, against the real daemon."""

import json
import signal
from typing import Any

import pytest
from shell_world import Home

from holdfast_client.shell import commands, ps

HANG = "script:\n  - text: I wait.\n    hang: true\n"


def create(home: Home, title: str, prompt: str = "say hello") -> str:
    return home.run("run", "--detach", "--title", title, prompt).stdout.strip()


def rows(home: Home) -> dict[str, dict[str, Any]]:
    return {row["sessionId"]: row for row in json.loads(home.run("ps", "--all", "--json").stdout)["sessions"]}


# The command itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("help",), ("--help",), ("-h",)])
def test_help_prints_every_command(home: Home, arguments: tuple[str, ...]) -> None:
    ran = home.run(*arguments)

    assert ran.returncode == 0
    assert all(f"  {name} " in ran.stdout for name in commands.SUMMARIES)


@pytest.mark.parametrize("name", commands.SUMMARIES)
def test_each_command_explains_itself_in_two_ways(home: Home, name: str) -> None:
    explained = home.run("help", name)

    assert explained.returncode == 0
    assert explained.stdout.startswith(f"usage: holdfast {name}")
    assert home.run(name, "--help").stdout == explained.stdout


def test_an_unknown_command_names_the_nearest(home: Home) -> None:
    ran = home.run("statsu")

    assert ran.returncode == 2
    assert "did you mean status?" in ran.stderr
    assert ran.stdout == ""


def test_the_package_can_be_run_as_a_module(home: Home) -> None:
    import subprocess
    import sys

    ran = subprocess.run(
        [sys.executable, "-m", "holdfast_client.shell", "--version"],
        env=home.environ,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.startswith("holdfast ")


def test_every_option_of_a_command_is_in_its_help() -> None:
    for name in commands.SUMMARIES:
        spec = commands.load(name).SPEC
        for option in [*spec.flags, *spec.options]:
            assert option in spec.usage, f"{name} {option}"


# ps -------------------------------------------------------------------------------------------------------


def test_ps_lists_sessions_last_used_first(home: Home) -> None:
    first, second = create(home, "The first"), create(home, "The second")
    heading, *lines = home.run("ps").stdout.splitlines()

    assert heading.split() == ["ID", "STATUS", "USED", "MODEL", "TITLE", "DIRECTORY"]
    assert [line.split()[0] for line in lines] == [second[:8], first[:8]]
    assert "The second" in lines[0]
    assert "~" in lines[0]


def test_ps_without_sessions_is_a_heading(home: Home) -> None:
    create(home, "x")
    table = ps.table([], 0, "/root")

    assert len(table) == 1


def test_a_title_cannot_act_on_the_terminal(home: Home) -> None:
    create(home, "evil \x1b[2J\x07 title")

    assert "\x1b" not in home.run("ps").stdout


def test_ages_and_home_are_shown_short() -> None:
    row = {
        "sessionId": "0123456789abcdef",
        "cwd": "/home/me/src",
        "model": "offline/rehearsal",
        "status": "idle",
        "updatedAt": 0,
        "archived": True,
    }

    line = ps.table([row], 7_200_000, "/home/me")[1]

    assert line == "01234567  idle (archived)  2 h   offline/rehearsal  -      ~/src"


# cancel ---------------------------------------------------------------------------------------------------


def test_cancel_ends_the_run_and_not_the_session(home: Home) -> None:
    session_id = create(home, "Waiting", HANG)
    cancelled = home.run("cancel", "waiting")
    follow = home.start("watch", session_id, "--format", "stream-json")
    kinds = []
    for line in follow.stdout:
        kinds.append(json.loads(line)["type"])
        if kinds[-1] == "run_cancelled":
            break
    follow.send_signal(signal.SIGINT)
    follow.communicate(timeout=60)

    assert (cancelled.returncode, cancelled.stdout) == (0, f"cancelled r1 of {session_id}\n")
    assert home.run("cancel", session_id).stdout == f"nothing to cancel in {session_id}\n"
    assert rows(home)[session_id]["status"] == "idle"


def test_cancel_names_one_run_and_leaves_any_other_alone(home: Home) -> None:
    session_id = create(home, "Waiting", HANG)

    assert home.run("cancel", session_id, "--run", "r99").stdout.startswith("nothing to cancel")
    assert rows(home)[session_id]["status"] == "running"
    assert home.run("cancel", session_id, "--run", "r1").stdout.startswith("cancelled r1")


def test_cancel_of_no_session_has_its_own_code(home: Home) -> None:
    create(home, "x")

    assert home.run("cancel", "missing").returncode == 6
    assert home.run("cancel").returncode == 2


def test_an_ambiguous_name_changes_nothing(home: Home) -> None:
    one, other = create(home, "Same title", HANG), create(home, "Same title", HANG)
    ran = home.run("cancel", "same")

    assert ran.returncode == 2
    assert one in ran.stderr
    assert other in ran.stderr
    assert {row["status"] for row in rows(home).values()} == {"running"}


# status, version, stop ------------------------------------------------------------------------------------


def test_status_shows_the_daemon(home: Home) -> None:
    create(home, "Waiting", HANG)
    status, shown = home.status(), home.run("status")

    assert shown.returncode == 0
    assert f"pid {status['server']['pid']}, serving" in shown.stdout
    assert "1 running" in shown.stdout
    assert home.locations.socket in shown.stdout


def test_version_names_command_daemon_and_protocol(home: Home) -> None:
    alone = json.loads(home.run("version", "--json").stdout)
    create(home, "x")
    both = json.loads(home.run("version", "--json").stdout)

    assert alone["daemon"] is None
    assert both["client"] == alone["client"]
    assert both["daemon"]["version"] == both["client"]["version"]
    assert "daemon   0." in home.run("version").stdout


def test_stop_waits_for_runs_to_end(home: Home) -> None:
    session_id = create(home, "Waiting", HANG)
    stopping = home.start("stop")
    assert stopping.stderr.readline() == "waiting for 1 run\n"
    refused = home.run("run", "say hello")

    assert refused.returncode == 75
    assert stopping.poll() is None

    home.run("cancel", session_id)
    out, _ = stopping.communicate(timeout=60)

    assert (stopping.returncode, out.startswith("daemon stopped (pid ")) == (0, True)
    assert home.run("ps").returncode == 69


def test_stop_now_interrupts_what_runs_and_keeps_the_sessions(home: Home) -> None:
    session_id = create(home, "Waiting", HANG)
    stopped = home.run("stop", "--now")
    home.run("run", "--detach", "say hello")

    assert stopped.returncode == 0
    assert "interrupting 1 run" in stopped.stderr
    assert rows(home)[session_id]["status"] == "idle"


def test_who_stops_waiting_leaves_the_daemon_draining(home: Home) -> None:
    create(home, "Waiting", HANG)
    stopping = home.start("stop")
    stopping.stderr.readline()
    stopping.send_signal(signal.SIGINT)
    _, err = stopping.communicate(timeout=60)

    assert stopping.returncode == 130
    assert "stop --now" in err
    assert home.status()["state"] == "draining"


# watch ----------------------------------------------------------------------------------------------------


def test_watch_shows_the_history_and_then_what_happens(home: Home) -> None:
    session_id = create(home, "Watched", "say first")
    watching = home.start("watch", session_id)
    while watching.stdout.readline() != "first\n":
        pass
    home.run("run", "--session", session_id, "say second")
    while watching.stdout.readline() != "second\n":
        pass
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=60)

    assert watching.returncode == 130
    assert "completed after" in err


def watched(home: Home, session_id: str, *options: str, until: str) -> list[dict[str, Any]]:
    """Give the lines of a watch that is interrupted when an event of a type has come."""
    watching = home.start("watch", session_id, "--format", "stream-json", *options)
    lines = []
    for line in watching.stdout:
        lines.append(json.loads(line))
        if lines[-1]["type"] == until:
            watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=60)
    return lines


def test_watch_goes_on_from_where_another_left(home: Home) -> None:
    session_id = json.loads(home.run("run", "--format", "json", "count 20").stdout)["sessionId"]
    whole = watched(home, session_id, until="run_completed")
    rest = watched(home, session_id, "--since", "3", until="run_completed")

    assert [line["type"] for line in (whole[0], whole[-1])] == ["session", "result"]
    assert [line["seq"] for line in whole[1:-1]] == list(range(1, whole[-1]["cursor"] + 1))
    assert rest[1:] == [line for line in whole[1:] if line.get("seq", 4) > 3]


def test_watch_beyond_the_head_is_refused_and_says_so(home: Home) -> None:
    session_id = create(home, "Short")
    ran = home.run("watch", session_id, "--since", "100000", "--format", "stream-json")

    assert ran.returncode == 2
    assert json.loads(ran.stdout.splitlines()[-1])["error"]["kind"] == "cursor_invalid"


@pytest.mark.parametrize(
    "arguments", [("watch",), ("watch", "x", "--since", "-1"), ("watch", "x", "--format", "json")]
)
def test_watch_that_makes_no_sense_is_a_usage_error(home: Home, arguments: tuple[str, ...]) -> None:
    assert home.run(*arguments).returncode == 2


def test_a_watcher_outlives_the_daemon_it_watched(home: Home) -> None:
    """It starts none itself, but goes on when somebody else does."""
    session_id = create(home, "Watched", HANG)
    watching = home.start("watch", session_id, "--format", "stream-json")
    lines = []
    for line in watching.stdout:
        lines.append(json.loads(line))
        if lines[-1]["type"] == "content_block_start":
            assert home.run("stop", "--now").returncode == 0
            assert home.run("run", "--session", session_id, "say again").returncode == 0
        if lines[-1]["type"] == "run_completed":
            watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=60)

    seqs = [line["seq"] for line in lines if "seq" in line]
    assert seqs == list(range(1, len(seqs) + 1)), err
    assert lines[-1]["status"] == "detached"
