"""`holdfast demo` as a person runs it (issue of the first minute, users.md: first run)."""

import json
import signal
import sys
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

from holdfast_client import demo
from holdfast_client.demo import sample_project
from holdfast_client.demo.claims import CLAIMS
from holdfast_client.demo.notebook import Notebook, read
from holdfast_client.demo.report import JsonReport
from holdfast_client.shell import documents
from holdfast_protocol import events, schema

COLUMNS = 80


def test_it_ends_with_0_and_leaves_no_process_and_no_file(stage):
    ran = stage.run("demo")

    assert (ran.returncode, ran.stderr) == (0, "")
    assert stage.processes_left() == []
    assert stage.files_left() == []


def test_every_claim_is_told_with_its_verdict_in_80_columns(stage):
    told = stage.run("demo").stdout.splitlines()

    checks = [line for line in told if line.startswith("check ")]
    assert [line.endswith("  ok") for line in checks] == [True] * len(CLAIMS)
    for claim, line in zip(CLAIMS, checks, strict=True):
        assert claim.text in line
        assert "…" not in line
    assert [line for line in told if len(line) > COLUMNS] == []
    assert told[0].endswith("(not an AI)")


def test_what_it_tells_is_what_is_to_be_shown_in_its_order(stage):
    told = stage.run("demo").stdout

    of_a = ("A  plan", "approved the plan", "exit code 1", "edit stats.py -1 +1", "killed (SIGKILL)")
    places = [
        told.index(words) for words in (*of_a, "client 2  attached", "A  edit", "exit code 0", "A  done")
    ]
    assert places == sorted(places)
    assert told.index("B  done") < told.index("daemon    killed")
    assert told.count("python -m unittest              waits for an answer") <= 1


def test_where_there_is_no_terminal_nothing_is_coloured_unless_it_is_asked_for(stage):
    assert "\x1b" not in stage.run("demo", HOLDFAST_DAEMON="/bin/false").stdout
    assert "\x1b" in stage.run("demo", "--color", "always", HOLDFAST_DAEMON="/bin/false").stdout


def test_every_line_of_its_json_is_of_its_schema_and_the_last_is_the_result(stage):
    ran = stage.run("demo", "--json")
    lines = [json.loads(line) for line in ran.stdout.splitlines()]

    checker = jsonschema_rs.Draft202012Validator(documents.bundle("demo", schema.json_schema()["$defs"]))
    for line in lines:
        checker.validate(line)
    assert [line["name"] for line in lines if line["type"] == "check"] == [claim.name for claim in CLAIMS]
    assert [line["type"] for line in lines].index("result") == len(lines) - 1
    assert (lines[-1]["exitCode"], lines[-1]["failed"], ran.returncode) == (0, [], 0)


def test_keep_leaves_the_sample_and_a_daemon_with_both_sessions(stage):
    kept = json.loads(stage.run("demo", "--keep", "--json").stdout.splitlines()[-1])["kept"]
    try:
        rows = json.loads(stage.run("ps", "--json", HOLDFAST_HOME=kept["home"]).stdout)["sessions"]

        assert {row["sessionId"] for row in rows} == {"demo-a", "demo-b"}
        assert "/ len(numbers)\n" in (Path(kept["sample"]) / "stats.py").read_text(encoding="utf-8")
    finally:
        stopped = stage.run("stop", "--now", HOLDFAST_HOME=kept["home"])
    assert stopped.returncode == 0


def test_a_daemon_that_does_not_start_is_a_failure_with_a_reason_and_leaves_nothing(stage):
    ran = stage.run("demo", "--json", HOLDFAST_DAEMON="/bin/false")
    result = json.loads(ran.stdout.splitlines()[-1])

    assert (ran.returncode, result["status"]) == (1, "failed")
    assert result["error"].startswith("the daemon did not start")
    assert stage.files_left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_interrupted_leaves_nothing(stage, number):
    process = stage.start("demo", "--json")
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["what"] == "plan":
            break
    process.send_signal(number)
    process.communicate()

    assert process.returncode == 130
    assert stage.processes_left() == []
    assert stage.files_left() == []


def test_a_run_that_fails_breaks_the_story_off_and_says_why(monkeypatch, capsys):
    broken = "script:\n  - error: {kind: overloaded, message: Too many people ask.}\n"
    script = sample_project.script
    monkeypatch.setattr(sample_project, "script", lambda name: broken if name == "summary" else script(name))

    assert demo.run(as_json=True) == 1
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["error"] == "session demo-b: its run was not completed: Too many people ask."


def test_a_claim_that_does_not_hold_is_named_and_ends_it_with_1(capsys):
    def tampered(evidence):
        return msgspec.structs.replace(evidence, client_2=evidence.client_2[:-1])

    report = JsonReport(sys.stdout)
    assert demo.play(report, judged=tampered) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    against = {line["name"]: line["against"] for line in lines if line["type"] == "check" and not line["ok"]}
    assert list(against) == ["equal"]
    assert "client 2" in against["equal"]
    assert lines[-1]["failed"] == ["equal"]


def test_it_takes_no_arguments(stage):
    ran = stage.run("demo", "now")

    assert ran.returncode == 2
    assert "unexpected argument" in ran.stderr


# The notebook ---------------------------------------------------------------------------------------------


def test_a_notebook_with_half_a_line_goes_on_after_the_last_whole_one(tmp_path):
    path = tmp_path / "notebook"
    first, second = (events.PlanGenerated(plan=str(seq), seq=seq, at=1) for seq in (1, 2))
    with Notebook(path) as notebook:
        notebook.add(first)
        notebook.add(second)
    path.write_bytes(path.read_bytes()[:-5])

    with Notebook(path) as again:
        assert again.cursor == 1
        again.add(second)
    assert read(path) == (first, second)
