"""`approvals`, `approve`, `deny`, and a `run` whose questions they answer. Against the real daemon."""

import contextlib
import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest
from shell_world import Home, Peer, ScriptedDaemon

from fakes.unconfined import without_sandbox

TWO_QUESTIONS = """\
script:
  - call:
      - {tool: write, input: {path: a.txt, content: a}}
      - {tool: write, input: {path: b.txt, content: b}}
  - text: Done.
"""


def ask(home: Home, prompt: str = "write a.txt: hello", *options: str) -> str:
    """Run a prompt until it waits for a person; give the session."""
    return json.loads(home.run("run", "--json", *options, prompt).stdout)["sessionId"]


def open_requests(home: Home) -> list[dict[str, Any]]:
    return json.loads(home.run("approvals", "--json").stdout)["requests"]


def ended(home: Home, session_id: str) -> list[dict[str, Any]]:
    """Follow a session to the end of its run; give the events."""
    follow = home.start("logs", session_id, "-f", "--format", "stream-json")
    events = []
    for line in follow.stdout:
        events.append(json.loads(line))
        if events[-1]["type"] in ("run_completed", "run_failed", "run_cancelled"):
            break
    follow.terminate()
    follow.communicate(timeout=60)
    return events


def outcomes(events: list[dict[str, Any]]) -> list[str]:
    return [event["outcome"] for event in events if event["type"] == "request_resolved"]


# Finding --------------------------------------------------------------------------------------------------


def test_approvals_lists_what_every_session_asks_for(home: Home) -> None:
    one, other = ask(home), ask(home, "run ls")
    heading, *lines = home.run("approvals").stdout.splitlines()

    assert heading.split() == ["REQUEST", "KIND", "ASKED", "TITLE"]
    assert {line.split()[0].partition("/")[0] for line in lines} == {one[:8], other[:8]}
    assert any(line.endswith("write a.txt") for line in lines)
    assert any(line.endswith("run ls") for line in lines)


@pytest.mark.parametrize("name", ["{session}", "{short}", "{label}", "{listed}", "r1-", "The title", "title"])
def test_a_request_is_named_by_itself_or_by_its_session(home: Home, name: str) -> None:
    session_id = ask(home, "write a.txt: hello", "--name", "The title")
    listed = home.run("approvals").stdout.splitlines()[1].split()[0]
    request_id = open_requests(home)[0]["request"]["requestId"]
    label = f"{session_id}/{request_id}"
    given = name.format(session=session_id, short=session_id[:6], label=label, listed=listed)

    assert home.run("approve", given).returncode == 0
    assert open_requests(home) == []


def test_what_the_list_shows_tells_requests_of_two_sessions_apart(home: Home) -> None:
    """A request's own id does not: each session counts for itself."""
    one, other = ask(home), ask(home)
    listed = [line.split()[0] for line in home.run("approvals").stdout.splitlines()[1:]]
    mine = next(name for name in listed if name.startswith(one[:8]))

    assert len({name.partition("/")[2] for name in listed}) == 1
    assert home.run("approve", mine).returncode == 0
    assert [item["sessionId"] for item in open_requests(home)] == [other]


def test_a_name_that_means_two_requests_answers_neither(home: Home) -> None:
    session_id = ask(home, TWO_QUESTIONS)
    labels = [f"{session_id}/{item['request']['requestId']}" for item in open_requests(home)]
    refused = home.run("approve", session_id)

    assert (refused.returncode, len(labels)) == (2, 2)
    assert all(label in refused.stderr for label in labels)
    assert len(open_requests(home)) == 2

    for label in labels:
        assert home.run("approve", label).returncode == 0
    assert outcomes(ended(home, session_id)) == ["allow", "allow"]


# Answering ------------------------------------------------------------------------------------------------


def test_what_was_approved_is_done(home: Home) -> None:
    session_id = ask(home)
    approved = home.run("approve", session_id)

    assert (approved.returncode, approved.stdout) == (0, "allow: write a.txt\n")
    assert ended(home, session_id)[-1]["type"] == "run_completed"
    assert (home.path / "a.txt").read_text() == "hello\n"


def test_what_was_denied_is_not_done_and_the_model_learns_why(home: Home) -> None:
    session_id = ask(home)
    denied = home.run("deny", session_id, "--reason", "not this file")
    events = ended(home, session_id)

    assert (denied.returncode, denied.stdout) == (0, "deny: write a.txt\n")
    assert not (home.path / "a.txt").exists()
    assert [event["message"] for event in events if event["type"] == "request_resolved"] == ["not this file"]


def test_session_scope_answers_the_next_one_of_its_kind_too(home: Home) -> None:
    twice = TWO_QUESTIONS.replace(
        "  - text", "  - call: {tool: write, input: {path: c.txt, content: c}}\n  - text"
    )
    session_id = ask(home, twice.replace("      - {tool: write, input: {path: b.txt, content: b}}\n", ""))
    home.run("approve", session_id, "--session")
    events = ended(home, session_id)

    assert [event["scope"] for event in events if event["type"] == "request_resolved"] == ["session"]
    assert (home.path / "c.txt").read_text() == "c"


def test_a_command_without_a_sandbox_cannot_be_allowed_for_good(home: Home) -> None:
    without_sandbox(home.path)
    session_id = ask(home, "run ls")
    refused = home.run("approve", session_id, "--always")

    assert refused.returncode == 2
    assert len(open_requests(home)) == 1


@pytest.mark.parametrize(("answer", "reason"), [(("approve",), "end_turn"), (("deny",), "budget")])
def test_a_run_at_its_limit_goes_on_or_ends(home: Home, answer: tuple[str, ...], reason: str) -> None:
    session_id = ask(home, "list files", "--max-steps", "1")
    answered = home.run(*answer, session_id)
    last = ended(home, session_id)[-1]

    assert answered.returncode == 0, answered.stderr
    assert (last["type"], last["stopReason"]) == ("run_completed", reason)


def test_a_plan_is_answered_with_one_of_its_options(home: Home) -> None:
    session_id = ask(home, "say This is the plan.", "--mode", "plan")
    refused = home.run("approve", session_id, "--option", "perhaps")
    answered = home.run("approve", session_id, "--option", "stop", "--json")

    assert refused.returncode == 2
    assert "accept_edits, ask, keep_planning, stop" in refused.stderr
    assert json.loads(answered.stdout)["outcome"] == "stop"


def test_who_answers_too_late_is_told_what_counts(home: Home) -> None:
    """Two people look at the same list; the second one's answer comes when the request has closed."""
    request = {"requestId": "q1", "kind": "permission", "title": "write a.txt", "options": []}

    def is_answered(peer: Peer) -> None:
        peer.shake_hands()
        peer.answer({"requests": [{"sessionId": "s1", "request": request}]})
        peer.answer({"accepted": False, "outcome": "deny", "by": "editor", "seq": 9})

    with ScriptedDaemon(home, is_answered):
        late = home.run("approve", "q1", "--json")

    assert late.returncode == 1
    assert "already answered by editor: deny" in late.stderr
    assert json.loads(late.stdout)["accepted"] is False


# A run that asks ------------------------------------------------------------------------------------------


def paste(home: Home, command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command line that another command suggested."""
    assert command.startswith("holdfast ")
    return home.run(*command.split()[1:])


def test_a_run_that_needs_an_answer_names_the_command_that_gives_it(home: Home) -> None:
    asked = home.run("run", "write a.txt: hello")
    command = asked.stderr.partition("Answer with: ")[2].partition(",")[0]

    assert asked.returncode == 5
    assert paste(home, command).returncode == 0
    assert open_requests(home) == []


@pytest.mark.parametrize(
    ("prompt", "flag"), [("write a.txt: hello", "--mode accept_edits"), ("run ls", None)]
)
def test_the_flag_that_would_have_allowed_it_is_named_and_does(
    home: Home, prompt: str, flag: str | None
) -> None:
    without_sandbox(home.path)
    asked = home.run("run", prompt)

    if flag is None:
        assert "--mode" not in asked.stderr  # Nothing confines a command: it is asked in every mode.
        assert home.run("run", "--mode", "auto", prompt).returncode == 5
    else:
        assert f"{flag} would have allowed it" in asked.stderr
        assert home.run("run", *flag.split(), prompt).returncode == 0


def test_a_prompt_behind_a_run_that_asks_waits_and_the_command_does_not(home: Home) -> None:
    session_id = ask(home)
    behind = home.run("run", "--resume", session_id, "--json", "say more")
    result = json.loads(behind.stdout)

    assert (behind.returncode, result["status"]) == (5, "waiting")
    assert f"holdfast approve {session_id}" in behind.stderr

    home.run("approve", session_id)
    assert ended(home, session_id)[-1]["type"] == "run_completed"


def test_where_nobody_is_to_be_asked_the_run_goes_on_denied(home: Home) -> None:
    ran = home.run("run", "--unattended", "deny", "--json", "write a.txt: hello")

    assert (ran.returncode, json.loads(ran.stdout)["status"]) == (0, "completed")
    assert not (home.path / "a.txt").exists()


def test_a_time_limit_does_not_wait_for_a_step_that_hangs(home: Home) -> None:
    ran = home.run("run", "--timeout", "0.05", "--json", "script:\n  - text: I wait.\n    hang: true\n")
    result = json.loads(ran.stdout)

    assert (ran.returncode, result["status"]) == (3, "overdue")
    assert json.loads(home.run("ps", "--json").stdout)["sessions"][0]["status"] == "running"

    command = ran.stderr.rpartition("end it: ")[2].strip()

    assert paste(home, command).returncode == 0
    assert ended(home, result["sessionId"])[-1]["type"] == "run_cancelled"


def test_a_call_that_nobody_cancelled_is_not_said_to_be_a_user_s_doing(home: Home) -> None:
    said = home.run("run", "--unattended", "fail", "write a.txt: hello").stderr

    assert "(cancelled)" in said
    assert "by the user" not in said


def test_where_the_settings_cannot_be_read_the_hint_is_no_command_that_has_to_read_them(home: Home) -> None:
    path = Path(home.run("config", "path").stdout.strip())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("not = = toml\n")
    path.chmod(0o600)
    check = json.loads(home.run("doctor", "--json").stdout)["checks"]["settings"]

    assert check["status"] == "failed"
    assert "config unset" not in check["remediation"]
    assert str(path) in check["remediation"]


# At a terminal --------------------------------------------------------------------------------------------


class Person:
    """Somebody at a terminal of their own, which is the command's controlling one."""

    def __init__(self, home: Home, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self._client = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *home.command(*arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=home.path,
            env={**home.environ, "TERM": "dumb"},
        )
        os.close(slave)
        self._shown = ""

    def see(self, text: str) -> None:
        """Wait until the terminal shows a text, and look on behind it."""
        while text not in self._shown:
            self._shown += os.read(self._master, 65536).decode()
        self._shown = self._shown.partition(text)[2]

    def type(self, line: str) -> None:
        os.write(self._master, line.encode())

    def leave(self) -> int:
        """Wait for the command's end; give its exit code."""
        with contextlib.suppress(OSError):  # EIO: the last writer has gone.
            while os.read(self._master, 65536):
                pass
        os.close(self._master)
        return self._client.wait(60)


def test_a_person_at_the_terminal_answers_by_a_letter(home: Home) -> None:
    person = Person(home, "run", "write a.txt: hello")
    person.see("y allow once, s allow in this session, a always allow here, n deny")
    person.type("y\n")

    assert person.leave() == 0
    assert (home.path / "a.txt").read_text() == "hello\n"


@pytest.mark.parametrize("style", ["text", "json", "stream-json"])
def test_a_person_sees_the_whole_command_before_they_are_asked(home: Home, style: str) -> None:
    command = 'script:\n  - call: {tool: shell, input: {command: "echo a\\ntouch b.txt"}}\n'
    person = Person(home, "run", "--format", style, command)
    person.see("    touch b.txt")
    person.see("y allow once")
    person.type("n\n")
    person.leave()

    assert not (home.path / "b.txt").exists()


def test_each_question_comes_with_what_it_is_about(home: Home) -> None:
    person = Person(home, "run", TWO_QUESTIONS.replace("content: b", "content: other"))
    person.see("+a")
    person.see("write a.txt: y allow once")
    person.type("y\n")
    person.see("+other")
    person.see("write b.txt: y allow once")
    person.type("y\n")

    assert person.leave() == 0


def test_two_questions_are_answered_one_after_the_other(home: Home) -> None:
    person = Person(home, "run", TWO_QUESTIONS)
    person.see("write a.txt: y allow once")
    person.type("y\n")
    person.see("write b.txt: y allow once")
    person.type("no\n")

    assert person.leave() == 0
    assert (home.path / "a.txt").exists()
    assert not (home.path / "b.txt").exists()


def test_what_is_no_answer_is_asked_again_and_the_end_of_input_leaves(home: Home) -> None:
    without_sandbox(home.path)
    person = Person(home, "run", "run ls")
    person.see("run ls: y allow once, s allow in this session, n deny")
    person.type("perhaps\n")
    person.see("run ls: y allow once")
    person.type("\x04")

    assert person.leave() == 5
    assert len(open_requests(home)) == 1


def test_a_limit_is_a_question_with_numbers(home: Home) -> None:
    person = Person(home, "run", "--max-steps", "1", "list files")
    person.see("1 go on, with as much again, 2 stop here")
    person.type("2\n")

    assert person.leave() == 3


def test_who_is_here_is_asked_where_nobody_else_is_to_be_waited_for(home: Home) -> None:
    person = Person(home, "run", "--unattended", "deny", "write a.txt: hello")
    person.see("y allow once")
    person.type("y\n")

    assert person.leave() == 0
    assert (home.path / "a.txt").exists()
