"""`holdfast run` against the real daemon and its offline model."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from shell_world import Home, terminal_of

HANG = "script:\n  - text: I wait.\n    hang: true\n"


def failing(kind: str, *, retryable: bool = False) -> str:
    error = {"kind": kind, "message": "It went wrong.", "retryable": retryable}
    return f"script:\n  - error: {json.dumps(error)}\n"


def result_of(output: str) -> dict[str, Any]:
    return json.loads(output.splitlines()[-1])


def started(client: "subprocess.Popen[str]", kind: str = "token_delta") -> list[dict[str, Any]]:
    """Read stream-json until an event of this kind; give what came."""
    read: list[dict[str, Any]] = []
    for line in client.stdout:
        read.append(json.loads(line))
        if read[-1]["type"] == kind:
            return read
    raise AssertionError(f"the stream ended without {kind}: {client.stderr.read()}")


def rest_of(client: "subprocess.Popen[str]") -> tuple[list[dict[str, Any]], str]:
    """Wait for the end; give the lines that were left, and standard error."""
    out, err = client.stdout.read(), client.stderr.read()
    client.stdout.close()
    client.stderr.close()
    client.wait(60)
    return [json.loads(line) for line in out.splitlines()], err


# What goes where ------------------------------------------------------------------------------------------


def test_the_answer_alone_is_on_standard_output_and_the_closing_line_is_not(home: Home) -> None:
    ran = home.run("run", "say", "hello", "there")

    assert ran.returncode == 0
    assert ran.stdout.splitlines()[-1] == "hello there"
    assert "completed after" in ran.stderr
    assert "tokens in" in ran.stderr
    assert "completed" not in ran.stdout


def test_thinking_and_tool_calls_are_on_standard_error(home: Home) -> None:
    (home.path / "note.txt").write_text("# A note\n")
    read = home.run("run", "read note.txt")
    thought = home.run("run", "think deeply")

    assert "* " in read.stderr
    assert "(ok, " in read.stderr
    assert "note.txt" in read.stdout
    assert "deeply" in thought.stderr.splitlines()


def test_a_tool_call_that_failed_says_so(home: Home) -> None:
    assert "(failed: " in home.run("run", "read missing.txt").stderr


def test_json_is_one_document_with_text_usage_and_code(home: Home) -> None:
    ran = home.run("run", "--format", "json", "say hello")
    result = json.loads(ran.stdout)

    assert ran.returncode == result["exitCode"] == 0
    assert (result["type"], result["status"], result["stopReason"]) == ("result", "completed", "end_turn")
    assert result["text"].endswith("hello")
    assert result["usage"]["output"] > 0
    assert result["sessionId"] in home.run("ps", "--all", "--json").stdout


def test_stream_json_has_every_event_in_order_between_session_and_result(home: Home) -> None:
    ran = home.run("run", "--format=stream-json", "count 50")
    first, *events, last = [json.loads(line) for line in ran.stdout.splitlines()]

    assert (first["type"], last["type"]) == ("session", "result")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "session_started"
    assert events[-1]["type"] == "run_completed"
    assert last["cursor"] == events[-1]["seq"]
    assert last["epoch"] == first["epoch"]


def test_the_final_text_goes_to_a_file_exactly(home: Home) -> None:
    ran = home.run("run", "-o", "answer.txt", 'script:\n  - text: "tab\\tand \\e[31mescape"\n')

    assert ran.returncode == 0, ran.stderr
    assert (home.path / "answer.txt").read_text() == "tab\tand \x1b[31mescape"
    assert ran.stdout == "tab\tand escape\n"


def test_a_file_that_cannot_be_written_is_said_before_anything_is_asked(home: Home) -> None:
    ran = home.run("run", "-o", "missing/answer.txt", "say hello")

    assert ran.returncode == 2
    assert "missing/answer.txt" in ran.stderr
    assert home.status()["running"] is False


def test_detach_prints_only_the_id_and_the_run_goes_on_to_its_end(home: Home) -> None:
    ran = home.run("run", "--detach", "say hello")
    session_id = ran.stdout.strip()
    watched = home.start("watch", session_id, "--format", "stream-json")
    kinds = [event["type"] for event in started(watched, "run_completed")]
    watched.send_signal(signal.SIGINT)
    rest_of(watched)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"{session_id}\n"
    assert "token_delta" in kinds or "content_block_end" in kinds


# What is asked --------------------------------------------------------------------------------------------


def prompts_of(home: Home, session: str = "") -> list[list[dict[str, Any]]]:
    """Give the content of all prompts of a session, by default the last used."""
    session_id = session or json.loads(home.run("ps", "--json").stdout)["sessions"][0]["sessionId"]
    watched = home.start("watch", session_id, "--format", "stream-json")
    events = started(watched, "run_completed")
    watched.send_signal(signal.SIGINT)
    left, _ = rest_of(watched)
    return [event["content"] for event in [*events, *left] if event["type"] == "prompt_received"]


def test_piped_input_is_a_second_block_behind_the_words(home: Home) -> None:
    assert home.run("run", "say", "this", input="and\nthis\n").returncode == 0
    assert prompts_of(home) == [
        [{"type": "text", "text": "say this"}, {"type": "text", "text": "and\nthis\n"}]
    ]


@pytest.mark.parametrize("arguments", [("run",), ("run", "-")])
def test_piped_input_alone_is_the_prompt(home: Home, arguments: tuple[str, ...]) -> None:
    ran = home.run(*arguments, input="say from the pipe")

    assert ran.stdout.endswith("from the pipe\n")
    assert prompts_of(home) == [[{"type": "text", "text": "say from the pipe"}]]


@pytest.mark.parametrize("given", ["", " \n"])
def test_no_prompt_at_all_is_a_usage_error(home: Home, given: str) -> None:
    assert home.run("run", input=given).returncode == 2


def test_input_that_is_too_long_is_refused_here(home: Home) -> None:
    ran = home.run("run", "-", input="x" * (8 * 1024 * 1024 + 1))

    assert ran.returncode == 2
    assert "longer than 8 MiB" in ran.stderr


def test_a_prompt_over_the_daemon_s_limit_names_the_limit(home: Home) -> None:
    ran = home.run("run", "-", input="x" * (1024 * 1024))

    assert ran.returncode == 2
    assert "at most" in ran.stderr


def test_bytes_that_are_no_utf_8_are_replaced(home: Home) -> None:
    command = [os.fsencode(word) for word in home.command("run", "say")]
    ran = subprocess.run(
        [*command, b"caf\xe9"],
        env=home.environ,
        cwd=home.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.decode().endswith("caf�\n")


def test_a_session_gets_the_directory_and_the_allow_listed_environment_of_its_shell(home: Home) -> None:
    work = home.path / "work"
    work.mkdir()
    home.run("run", "--title", "In work", "say hello", cwd=work, env={"SECRET_KEY": "x"})
    row = json.loads(home.run("ps", "--json").stdout)["sessions"][0]

    assert row["cwd"] == str(work.resolve())
    assert row["title"] == "In work"


def test_a_given_session_is_prompted_again_and_only_its_new_run_is_shown(home: Home) -> None:
    first = json.loads(home.run("run", "--format", "json", "say first").stdout)
    again = home.run("run", "--session", first["sessionId"][:8], "--format", "stream-json", "say second")
    lines = [json.loads(line) for line in again.stdout.splitlines()]

    assert again.returncode == 0
    assert lines[0]["sessionId"] == first["sessionId"]
    assert {line.get("runId") for line in lines[1:-1] if not line["type"].startswith("prompt_")} == {"r2"}
    assert lines[-1]["text"] == "second"
    assert lines[1]["seq"] == first["cursor"] + 1


# Exit codes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("say hello", 0),
        ("script:\n  - nonsense: true\n", 1),
        (failing("auth"), 4),
        (failing("rate_limited", retryable=True), 75),
        (failing("protocol"), 1),
    ],
)
def test_the_exit_code_is_the_run_s_outcome(home: Home, prompt: str, code: int) -> None:
    ran = home.run("run", "--format", "json", prompt)

    assert ran.returncode == code
    assert json.loads(ran.stdout)["exitCode"] == code


def test_a_failed_run_says_why_on_standard_error(home: Home) -> None:
    ran = home.run("run", failing("protocol"))

    assert "error: It went wrong." in ran.stderr
    assert ran.stdout == ""


def test_no_such_session_has_its_own_code(home: Home) -> None:
    assert home.run("run", "--session", "missing", "say hello").returncode == 6


def test_an_unknown_model_is_a_usage_error_that_names_it(home: Home) -> None:
    ran = home.run("run", "--model", "nobody/nothing", "say hello")

    assert ran.returncode in (1, 2)
    assert "nobody/nothing" in ran.stderr


@pytest.mark.parametrize("style", ["json", "stream-json"])
def test_a_failure_before_the_run_still_ends_in_a_result(home: Home, style: str) -> None:
    ran = home.run("run", "--format", style, "--session", "missing", "say hello")
    result = result_of(ran.stdout)

    assert (result["type"], result["status"], result["exitCode"]) == ("result", "error", ran.returncode)
    assert result["error"]["kind"] == "not_found"


# Leaving --------------------------------------------------------------------------------------------------


def test_ctrl_c_cancels_the_run_and_waits_for_its_end(home: Home) -> None:
    client = home.start("run", "--format", "stream-json", HANG)
    started(client)
    client.send_signal(signal.SIGINT)
    left, err = rest_of(client)

    assert client.returncode == 130
    assert [event["type"] for event in left][-2:] == ["run_cancelled", "result"]
    assert left[-1]["status"] == "cancelled"
    assert "cancelling" in err


def test_ctrl_c_twice_leaves_and_the_run_goes_on(home: Home) -> None:
    client = home.start("run", "--format", "stream-json", HANG)
    session_id = started(client)[0]["sessionId"]
    client.send_signal(signal.SIGTERM)  # As good as two.
    left, err = rest_of(client)

    assert client.returncode == 130
    assert left[-1]["status"] == "detached"
    assert f"holdfast attach {session_id}" in err
    assert json.loads(home.run("ps", "--json").stdout)["sessions"][0]["status"] == "running"


def test_another_s_run_is_not_cancelled_by_who_waits_behind_it(home: Home) -> None:
    first = home.start("run", "--format", "stream-json", HANG)
    session_id = started(first)[0]["sessionId"]
    second = home.start("run", "--session", session_id, "--format", "stream-json", "say second")
    started(second, "prompt_received")
    second.send_signal(signal.SIGINT)
    while "not started" not in second.stderr.readline():
        pass
    second.send_signal(signal.SIGINT)
    rest_of(second)

    assert json.loads(home.run("ps", "--json").stdout)["sessions"][0]["runId"] == "r1"

    home.run("cancel", session_id, "--clear-queue")
    left, _ = rest_of(first)
    assert left[-1]["status"] == "cancelled"


def test_a_reader_that_goes_away_ends_the_command_without_a_word(home: Home) -> None:
    home.run("run", "say hello")
    client = home.start("run", "count 200000")
    client.stdout.readline()
    client.stdout.close()

    assert client.wait(60) == 130
    assert client.stderr.read().splitlines()[1:] == []  # Nothing after the line the session began with.
    client.stderr.close()


def test_output_that_cannot_be_written_is_an_error_and_no_traceback(home: Home) -> None:
    home.run("run", "say hello")
    with Path("/dev/full").open("w") as full:
        client = home.start("ps", stdout=full)
        _, err = client.communicate(timeout=60)

    assert client.returncode == 1
    assert err == "holdfast: No space left on device: standard output\n"


# A terminal -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "colored"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_want_it(home: Home, environ: dict[str, str], colored: bool) -> None:
    shown = terminal_of(home, "run", "think deeply", env=environ)

    assert "deeply" in shown
    assert ("\x1b[2m" in shown) is colored


def test_a_pipe_gets_no_colour(home: Home) -> None:
    ran = home.run("run", "think deeply", env={"TERM": "xterm"})

    assert "\x1b" not in ran.stdout + ran.stderr


# Lost daemons ---------------------------------------------------------------------------------------------


def kill_daemon(home: Home) -> None:
    """Kill the daemon of this home: its pid comes from its own socket."""
    os.kill(home.status()["server"]["pid"], signal.SIGKILL)


def test_a_killed_daemon_is_started_again_and_the_log_goes_on_without_gap_or_repetition(home: Home) -> None:
    client = home.start("run", "--format", "stream-json", HANG)
    before = started(client, "content_block_start")
    kill_daemon(home)
    left, err = rest_of(client)
    events = [line for line in [*before, *left] if "seq" in line and "at" in line]

    assert client.returncode == 75, err
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "run_interrupted"
    assert left[-1]["status"] == "interrupted"


def test_a_daemon_that_somebody_else_restarts_is_used(home: Home) -> None:
    client = home.start("run", "--format", "stream-json", HANG)
    started(client, "content_block_start")
    kill_daemon(home)
    other = subprocess.Popen(
        [Path(sys.executable).with_name("holdfastd")],
        env=home.environ,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    left, err = rest_of(client)

    assert left[-1]["status"] == "interrupted", err
    assert home.status()["server"]["pid"] == other.pid
    assert home.run("stop", "--now").returncode == 0
    other.wait(60)


def test_a_prompt_behind_an_interrupted_run_waits_and_the_command_does_not(home: Home) -> None:
    """The queue is held until a person continues the session; nobody here will."""
    session_id = home.run("run", "--detach", HANG).stdout.strip()
    home.run("run", "--detach", "--session", session_id, "say queued")
    kill_daemon(home)
    home.run("run", "--detach", "say hello")  # Starts the next daemon, which interrupts the run.
    ran = home.run("run", "--session", session_id, "--format", "json", "say more")

    assert (ran.returncode, json.loads(ran.stdout)["status"]) == (75, "queued"), ran.stderr
    assert "the queue is held" in ran.stderr


def test_a_prompt_behind_a_run_that_fails_waits_and_the_command_does_not(home: Home) -> None:
    """It was queued while the run went on; the failure holds the queue."""
    failing = (
        "script:\n"
        "  - text: {value: slow, delta_chars: 1, delay_ms: 300}\n"
        "    error: {kind: overloaded, message: busy}\n"
    )
    session_id = home.run("run", "--detach", failing).stdout.strip()
    ran = home.run("run", "--session", session_id, "--format", "json", "say more")

    assert (ran.returncode, json.loads(ran.stdout)["status"]) == (75, "queued"), ran.stderr
    assert "queued, place 1" in ran.stderr
    assert "the queue is held" in ran.stderr


def test_what_an_interrupted_run_ends_with_says_how_it_is_taken_up_and_that_does(home: Home) -> None:
    client = home.start("run", "--format", "stream-json", HANG)
    session_id = started(client, "content_block_start")[0]["sessionId"]
    kill_daemon(home)
    _, err = rest_of(client)
    command = f"holdfast send {session_id} --continue"

    assert (client.returncode, command in err) == (75, True), err
    assert home.run(*command.split()[1:]).stdout == f"started r2 of {session_id}\n"
    assert "r2" in {
        event.get("runId") for event in json.loads(home.run("logs", session_id, "--json").stdout)["events"]
    }


def test_a_prompt_in_a_held_queue_comes_with_the_command_that_lets_it_go(home: Home) -> None:
    session_id = home.run("run", "--detach", HANG).stdout.strip()
    home.run("run", "--detach", "--session", session_id, "say queued")
    kill_daemon(home)
    ran = home.run("run", "--session", session_id, "--format", "json", "say more")

    assert f"the prompt stays queued. Go on: holdfast send {session_id} --continue" in ran.stderr


def test_a_usage_error_too_ends_in_a_result(home: Home) -> None:
    ran = home.run("run", "--format", "stream-json")

    assert ran.returncode == 2
    assert result_of(ran.stdout)["error"]["kind"] == "usage"
