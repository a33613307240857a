"""`send`, `close`, `rename`, `fork`, `export`, `rm`, `logs`, and which session `run` takes. Real daemon."""

import json
import os
import pty
import signal
import stat
from pathlib import Path
from typing import Any

import pytest
from shell_world import Home, Peer, ScriptedDaemon

HANG = "script:\n  - text: I wait.\n    hang: true\n"


def done(home: Home, prompt: str = "say hello", *options: str) -> str:
    """Run a prompt to its end; give the session."""
    return json.loads(home.run("run", "--json", *options, prompt).stdout)["sessionId"]


def hanging(home: Home) -> str:
    return home.run("run", "--detach", HANG).stdout.strip()


def events(home: Home, session_id: str) -> list[dict[str, Any]]:
    return json.loads(home.run("logs", session_id, "--json").stdout)["events"]


def kinds(home: Home, session_id: str) -> list[str]:
    return [event["type"] for event in events(home, session_id)]


def rows(home: Home) -> dict[str, dict[str, Any]]:
    return {row["sessionId"]: row for row in json.loads(home.run("ps", "--all", "--json").stdout)["sessions"]}


# send -----------------------------------------------------------------------------------------------------


def test_send_begins_a_run_and_leaves(home: Home) -> None:
    session_id = done(home)

    assert home.run("send", session_id, "say", "more").stdout == f"started r2 of {session_id}\n"


def test_a_sent_prompt_waits_behind_a_run_and_says_where(home: Home) -> None:
    session_id = hanging(home)

    assert home.run("send", session_id, "say one").stdout == f"queued in {session_id}, place 1\n"
    assert json.loads(home.run("send", session_id, "--json", "say two").stdout)["position"] == 2


def test_what_has_not_been_interrupted_is_not_taken_up(home: Home) -> None:
    refused = home.run("send", done(home), "--continue")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no failed or interrupted run" in refused.stderr


def test_a_steering_prompt_is_shown_to_the_run_that_goes_on(home: Home) -> None:
    session_id = hanging(home)

    assert home.run("send", session_id, "--steer", "say other").stdout == f"steered in {session_id}\n"


def test_an_interrupting_prompt_ends_the_run_before_it(home: Home) -> None:
    session_id = hanging(home)
    home.run("send", session_id, "--interrupt", "say other")
    follow = home.start("logs", session_id, "-f", "--format", "stream-json")
    seen = []
    for line in follow.stdout:
        seen.append(json.loads(line)["type"])
        if seen[-1] == "run_completed":
            follow.send_signal(signal.SIGINT)
    follow.communicate(timeout=60)

    assert [kind for kind in seen if kind in ("run_cancelled", "run_completed")] == [
        "run_cancelled",
        "run_completed",
    ]


def test_piped_input_can_be_sent(home: Home) -> None:
    session_id = done(home)
    home.run("send", session_id, "say this", input="and this")
    prompts = [event["content"] for event in events(home, session_id) if event["type"] == "prompt_received"]

    assert prompts[-1] == [{"type": "text", "text": "say this"}, {"type": "text", "text": "and this"}]


# close, rename, fork --------------------------------------------------------------------------------------


def test_close_unloads_a_session_and_whoever_looks_loads_it_again(home: Home) -> None:
    session_id = done(home)
    loaded = home.status()["sessions"]["loaded"]
    closed = home.run("close", session_id)

    assert (closed.returncode, closed.stdout) == (0, f"closed {session_id}\n")
    assert home.status()["sessions"]["loaded"] == loaded - 1
    assert "run_completed" in kinds(home, session_id)


def test_close_cancels_no_run_unless_it_is_told_to(home: Home) -> None:
    session_id = hanging(home)
    refused = home.run("close", session_id)

    assert refused.returncode == 5
    assert rows(home)[session_id]["status"] == "running"

    assert home.run("close", session_id, "--force").returncode == 0
    assert "run_cancelled" in kinds(home, session_id)


def test_a_renamed_session_answers_to_its_new_name_also_after_a_restart(home: Home) -> None:
    session_id = done(home, "say hello", "--name", "Before")
    renamed = home.run("rename", "before", "After", "the", "fact")
    home.run("stop")

    assert (renamed.returncode, renamed.stdout) == (0, f"{session_id} is After the fact\n")
    assert home.run("rename", "before", "x").returncode == 6
    assert json.loads(home.run("logs", "after the", "--json").stdout)["sessionId"] == session_id


def test_a_fork_has_the_events_up_to_where_it_was_made(home: Home) -> None:
    session_id = done(home)
    head = len(events(home, session_id))
    whole = home.run("fork", session_id, "--name", "Whole").stdout.strip()
    part = home.run("fork", session_id, "--at", "1").stdout.strip()

    assert [row["title"] for row in rows(home).values() if row["sessionId"] == whole] == ["Whole"]
    assert kinds(home, whole)[:head] == kinds(home, session_id)
    assert "run_completed" not in kinds(home, part)


# export, rm -----------------------------------------------------------------------------------------------


def test_an_export_is_a_header_and_every_event(home: Home) -> None:
    session_id = done(home, "count 50")
    header, *lines = home.run("export", session_id).stdout.splitlines()

    assert json.loads(header)["format"] == "holdfast-export"
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert [json.loads(line)["type"] for line in lines][-1] == "run_completed"


def test_an_export_of_many_pages_has_them_all(home: Home) -> None:
    asked = []

    def pages(peer: Peer) -> None:
        peer.shake_hands()
        peer.answer({"sessions": [{"sessionId": "s1"}]})
        given = ({"lines": ["header", "1"], "next": 1}, {"lines": ["2"], "next": 2}, {"lines": ["3"]})
        asked.extend(peer.answer(page)["params"]["after"] for page in given)

    with ScriptedDaemon(home, pages):
        assert home.run("export", "s1").stdout == "header\n1\n2\n3\n"

    assert asked == [0, 1, 2]


def test_an_exported_file_is_whole_and_private(home: Home) -> None:
    session_id = done(home)
    target = home.path / "log.jsonl"
    target.write_text("before")
    target.chmod(0o644)
    told = json.loads(home.run("export", session_id, "-o", "log.jsonl", "--json").stdout)

    assert target.read_text() == home.run("export", session_id).stdout
    assert (told["events"], told["bytes"]) == (events(home, session_id)[-1]["seq"], target.stat().st_size)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in home.path.iterdir() if path.suffix == ".part"] == []


def test_an_export_replaces_no_pipe_and_no_link(home: Home) -> None:
    session_id = done(home)
    os.mkfifo(home.path / "pipe")
    (home.path / "real").write_text("before")
    (home.path / "link").symlink_to("real")

    refused = home.run("export", session_id, "-o", "pipe")
    assert refused.returncode == 2
    assert "no regular file" in refused.stderr
    assert stat.S_ISFIFO((home.path / "pipe").stat().st_mode)

    assert home.run("export", session_id, "-o", "link").returncode == 0
    assert (home.path / "link").is_symlink()
    assert (home.path / "real").read_text() == home.run("export", session_id).stdout


def test_rm_asks_nobody_where_there_is_nobody(home: Home) -> None:
    session_id = done(home)
    refused = home.run("rm", session_id)

    assert refused.returncode == 5
    assert "--force" in refused.stderr
    assert session_id in rows(home)


def test_rm_deletes_all_of_its_sessions_or_none(home: Home) -> None:
    one, other = done(home), hanging(home)

    assert home.run("rm", "--force", one, "missing").returncode == 6
    assert set(rows(home)) == {one, other}
    assert home.run("rm", "-f", one, other).stdout == f"deleted {one}\ndeleted {other}\n"
    assert rows(home) == {}


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 5), ("\n", 5)])
def test_rm_takes_a_person_s_word_at_a_terminal(home: Home, typed: str, code: int) -> None:
    session_id = done(home)
    master, slave = pty.openpty()
    asking = home.start("rm", session_id, stdin=slave, stderr=slave)
    os.close(slave)
    os.write(master, typed.encode())
    out, _ = asking.communicate(timeout=60)
    os.close(master)

    assert asking.returncode == code
    assert (session_id in rows(home)) is (code != 0)
    assert (out == f"deleted {session_id}\n") is (code == 0)


# logs -----------------------------------------------------------------------------------------------------


def test_logs_show_the_session_so_far_and_end(home: Home) -> None:
    session_id = hanging(home)
    shown = home.run("logs", session_id)

    assert shown.returncode == 0
    assert "> script:" in shown.stdout
    assert "session goes on" not in shown.stdout


def test_logs_go_on_from_where_they_ended(home: Home) -> None:
    session_id = done(home, "count 20")
    first = home.run("logs", session_id, "--format", "stream-json").stdout.splitlines()
    cursor = json.loads(first[-1])["cursor"]
    home.run("run", "--resume", session_id, "say more")
    rest = home.run("logs", session_id, "--since", str(cursor), "--format", "stream-json").stdout.splitlines()

    assert json.loads(first[-1])["status"] == "read"
    assert json.loads(rest[1])["seq"] == cursor + 1
    assert json.loads(rest[-1])["cursor"] == events(home, session_id)[-1]["seq"]


def test_logs_as_a_document_have_the_whole_text_without_its_pieces(home: Home) -> None:
    session_id = done(home, "count 20")
    document = json.loads(home.run("logs", session_id, "--json").stdout)

    assert document["sessionId"] == session_id
    assert "token_delta" not in {event["type"] for event in document["events"]}
    assert any("20" in event.get("text", "") for event in document["events"])


def test_logs_start_a_daemon_because_they_need_the_log(home: Home) -> None:
    session_id = done(home)
    home.run("stop")

    assert "hello" in home.run("logs", session_id).stdout
    assert home.status()["running"] is True


# Which session a run takes --------------------------------------------------------------------------------


def test_continue_takes_the_session_last_used_in_this_directory(home: Home) -> None:
    other = home.path / "other"
    other.mkdir()
    here = done(home)
    done_there = json.loads(home.run("run", "--json", "say there", cwd=other).stdout)["sessionId"]
    again = json.loads(home.run("run", "-c", "--json", "say again").stdout)

    assert (again["sessionId"], again["runId"]) == (here, "r2")
    assert json.loads(home.run("run", "-c", "--json", "say x", cwd=other).stdout)["sessionId"] == done_there


def test_continue_where_there_is_no_session_ends_with_6(home: Home) -> None:
    ran = home.run("run", "-c", "say hello")

    assert ran.returncode == 6
    assert f"there is no session in {home.path}" in ran.stderr


@pytest.mark.parametrize("option", ["-r", "--resume", "--session"])
def test_resume_takes_a_session_by_a_part_of_its_name(home: Home, option: str) -> None:
    session_id = done(home, "say hello", "--name", "The long title")

    assert json.loads(home.run("run", option, "long t", "--json", "say x").stdout)["sessionId"] == session_id


def test_a_mode_given_to_a_run_is_that_run_s(home: Home) -> None:
    session_id = done(home)

    assert home.run("run", "-r", session_id, "--mode", "accept_edits", "write a.txt: a").returncode == 0
    assert (home.path / "a.txt").exists()
    assert home.run("run", "-r", session_id, "write b.txt: b").returncode == 5


def test_an_export_that_fails_leaves_nothing_behind(home: Home) -> None:
    session_id = done(home)
    Path(home.path / "taken").mkdir()
    failed = home.run("export", session_id, "-o", "taken")

    assert failed.returncode == 2
    assert "taken is no regular file" in failed.stderr
    assert list(home.path.glob("*.part")) == []
