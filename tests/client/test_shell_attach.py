"""`holdfast attach` at a terminal, against the real daemon."""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import termios
from time import monotonic
from typing import Self

import pytest
from shell_world import WAIT_S, Home

HANG = "script:\n  - text: I wait.\n    hang: true\n"


class Terminal:
    """A person at a terminal."""

    def __init__(self, home: Home, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.client = home.start(*arguments, stdin=slave, stdout=slave, stderr=slave, env={"TERM": "xterm"})
        self._slave = slave  # Kept open, so that what the terminal is set to can be seen.
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.client.wait(1)
        self.client.kill()
        self.client.wait()
        os.close(self._slave)
        os.close(self._master)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def see(self, text: str) -> str:
        """Wait until the terminal shows a text; give what it showed up to there, and look on behind it."""
        deadline = monotonic() + WAIT_S
        while text not in self._shown:
            ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - monotonic()))
            assert ready, f"{text!r} is not shown, but {self._shown!r}"
            self._shown += os.read(self._master, 65536).decode()
        seen, _, self._shown = self._shown.partition(text)
        return seen

    def leave(self, how: str = "\x04") -> int:
        self.type(how)
        return self.ended()

    def ended(self) -> int:
        code = self.client.wait(WAIT_S)
        assert termios.tcgetattr(self._slave) == self.before
        return code


@pytest.fixture
def session(home: Home) -> str:
    return json.loads(home.run("run", "--format", "json", "--title", "Earlier", "say earlier").stdout)[
        "sessionId"
    ]


def test_history_is_shown_then_typed_lines_are_prompts(home: Home, session: str) -> None:
    with Terminal(home, "attach", "--plain", session) as terminal:
        terminal.see("> say earlier")
        terminal.see("earlier")
        terminal.see("completed after")
        terminal.type("say typed here\n")
        terminal.see("\ntyped here\r\n")
        terminal.see("completed after")

        assert terminal.leave() == 0


@pytest.mark.usefixtures("session")
def test_without_an_id_it_is_the_session_last_used_in_this_directory(home: Home) -> None:
    home.run("run", "say elsewhere", cwd="/")
    with Terminal(home, "attach", "--plain") as terminal:
        terminal.see("> say earlier")
        terminal.leave()


def test_a_directory_without_sessions_says_so(home: Home) -> None:
    assert home.run("attach").returncode == 6


@pytest.mark.parametrize("how", ["\x04", "\x1d", "/detach\n"])
def test_each_way_of_leaving_says_how_to_come_back(home: Home, session: str, how: str) -> None:
    with Terminal(home, "attach", "--plain", "earl") as terminal:
        terminal.see("completed after")
        terminal.type(how)
        terminal.see(f"Come back: holdfast attach {session}")

        assert terminal.ended() == 0


def test_ctrl_c_cancels_the_run_and_the_person_stays(home: Home) -> None:
    session_id = home.run("run", "--detach", HANG).stdout.strip()
    with Terminal(home, "attach", "--plain", session_id) as terminal:
        terminal.see("I wait.")
        terminal.client.send_signal(signal.SIGINT)
        terminal.see("cancelled by")
        terminal.type("say still here\n")
        terminal.see("\nstill here\r\n")
        terminal.leave()


def test_ctrl_c_while_nothing_runs_cancels_no_later_run(home: Home, session: str) -> None:
    with Terminal(home, "attach", "--plain", session) as terminal:
        terminal.see("completed after")
        terminal.client.send_signal(signal.SIGINT)
        terminal.see("nothing runs; Ctrl-C again leaves")
        home.run("run", "--session", session, "say another's")
        terminal.see("\nanother's\r\n")
        terminal.see("completed after")
        terminal.client.send_signal(signal.SIGINT)
        terminal.see("nothing runs; Ctrl-C again leaves")
        terminal.leave()


def test_ctrl_c_twice_leaves(home: Home, session: str) -> None:
    with Terminal(home, "attach", "--plain", session) as terminal:
        terminal.see("completed after")
        terminal.client.send_signal(signal.SIGINT)
        terminal.see("nothing runs; Ctrl-C again leaves")
        terminal.client.send_signal(signal.SIGINT)
        terminal.see("Come back: ")

        assert terminal.ended() == 130


def test_a_line_typed_during_a_run_waits_in_the_queue(home: Home) -> None:
    session_id = home.run("run", "--detach", HANG).stdout.strip()
    with Terminal(home, "attach", "--plain", session_id) as terminal:
        terminal.see("I wait.")
        terminal.type("say queued\n")
        terminal.see("queued, place 1")
        home.run("cancel", session_id)
        terminal.see("cancelled by")
        terminal.see("\nqueued\r\n")
        terminal.leave()


def test_two_people_see_the_same_and_one_leaving_does_not_disturb_the_other(home: Home, session: str) -> None:
    with (
        Terminal(home, "attach", "--plain", session) as one,
        Terminal(home, "attach", "--plain", session) as other,
    ):
        one.see("completed after")
        other.see("completed after")
        one.type("say to both\n")
        other.see("> say to both")
        other.see("\nto both\r\n")
        one.leave()
        other.type("say alone\n")
        other.see("\nalone\r\n")
        other.leave()


def test_a_daemon_that_dies_is_started_again_and_prompts_go_on(home: Home, session: str) -> None:
    with Terminal(home, "attach", "--plain", session) as terminal:
        terminal.see("completed after")
        os.kill(home.status()["server"]["pid"], signal.SIGKILL)
        terminal.type("say after all\n")
        terminal.see("\nafter all\r\n")
        terminal.leave()


def test_a_daemon_that_was_stopped_is_not_started_again(home: Home, session: str) -> None:
    with Terminal(home, "attach", "--plain", session) as terminal:
        terminal.see("completed after")
        assert home.run("stop").returncode == 0
        terminal.client.send_signal(signal.SIGTERM)
        terminal.see("Come back: ")

    assert home.status()["running"] is False


def test_without_a_terminal_it_follows_and_one_ctrl_c_leaves_the_run_alone(home: Home) -> None:
    session_id = home.run("run", "--detach", HANG).stdout.strip()
    client = home.start("attach", session_id)
    while "I wait." not in client.stdout.readline():
        pass
    client.send_signal(signal.SIGINT)
    _, err = client.communicate(timeout=WAIT_S)

    assert client.returncode == 130
    assert f"Come back: holdfast attach {session_id}" in err
    assert json.loads(home.run("ps", "--json").stdout)["sessions"][0]["status"] == "running"


def test_piped_input_is_refused_with_the_command_that_takes_it(home: Home, session: str) -> None:
    refused = home.run("attach", session, input="say not this\n")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "`holdfast send ID -`" in refused.stderr
