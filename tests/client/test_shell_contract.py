"""Every subcommand: JSON against its schema, and the exit codes it ends with (contract_table.py)."""

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import contract_table as table
import jsonschema_rs
import pytest
from shell_world import Home

from holdfast_client.shell import commands, documents
from holdfast_protocol import schema


class World:
    """A home with a daemon and sessions of the table."""

    def __init__(self, home: Home, names: Iterable[str]) -> None:
        self.home = home
        self.sessions = {name: self._session(*table.SESSIONS[name]) for name in names}

    def _session(self, *words: str) -> str:
        """Run a prompt until it needs no more time; give the session's id."""
        return json.loads(self.home.run("run", "--json", *words).stdout)["sessionId"]

    def run(self, arguments: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
        return self.home.run(*self.filled(arguments))

    def filled(self, arguments: tuple[str, ...]) -> list[str]:
        """Put the ids of sessions where the table names them."""
        names = {f"{{{name}}}": session_id for name, session_id in self.sessions.items()}
        return [names.get(word, word) for word in arguments]


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    """A world for cases that leave it as it is."""
    home = Home(Path(tempfile.mkdtemp(prefix="hf")))
    try:
        yield World(home, table.SESSIONS)
    finally:
        home.run("stop", "--now")
        home.wait_for_the_lock()
        shutil.rmtree(home.path, ignore_errors=True)


def checked(name: str, text: str) -> None:
    """Check a document against the schema that `holdfast schema NAME` prints."""
    bundle = documents.bundle(name, schema.json_schema()["$defs"])
    jsonschema_rs.Draft202012Validator(bundle).validate(json.loads(text))


def ids(value: object) -> str | None:
    match value:
        case table.Ending():
            return " ".join(value.arguments)[:40] or "bare"
        case tuple():
            return " ".join(value)[:40]
        case _:
            return None


# Success --------------------------------------------------------------------------------------------------


def test_the_table_has_every_command() -> None:
    in_table = {*table.READS, *table.CHANGES, *table.PRINTS, "attach", "watch", "acp", "rpc", "serve", "demo"}

    assert set(commands.SUMMARIES) - in_table == set()


def test_every_document_is_that_of_a_command_and_a_valid_schema() -> None:
    types = schema.json_schema()["$defs"]
    for name in documents.DOCUMENTS:
        jsonschema_rs.meta.validate(documents.bundle(name, types))

    assert set(documents.DOCUMENTS) == {*table.READS, *table.CHANGES, "demo", "stream-json"}


@pytest.mark.parametrize("name", table.READS)
def test_what_is_looked_at_is_one_document_of_its_schema(shared: World, name: str) -> None:
    ran = shared.run(table.READS[name])

    assert (ran.returncode, ran.stderr) == (0, "")
    checked(name, ran.stdout)


@pytest.mark.parametrize("name", table.CHANGES)
def test_what_is_changed_is_one_document_of_its_schema(home: Home, name: str) -> None:
    arguments = table.CHANGES[name]
    named = [session for session in table.SESSIONS if f"{{{session}}}" in arguments]
    ran = World(home, named or ["idle"]).run(arguments)

    assert ran.returncode == 0, ran.stderr
    checked(name, ran.stdout)


@pytest.mark.parametrize("name", table.PRINTS)
def test_what_is_printed_goes_to_standard_output(shared: World, name: str) -> None:
    ran = shared.run(table.PRINTS[name])

    assert ran.returncode == 0
    assert ran.stdout


@pytest.mark.parametrize(
    "arguments", [("run", "--format", "stream-json", "list files"), ("logs", "{asking}")]
)
def test_every_line_of_a_stream_is_of_its_schema_and_the_last_is_the_result(
    shared: World, arguments: tuple[str, ...]
) -> None:
    lines = shared.run((*arguments, "--format", "stream-json")).stdout.splitlines()
    for line in lines:
        checked("stream-json", line)

    assert [json.loads(line)["type"] == "result" for line in lines] == [False] * (len(lines) - 1) + [True]


def test_no_schema_accepts_anything() -> None:
    types = schema.json_schema()["$defs"]
    for name in documents.DOCUMENTS:
        assert not jsonschema_rs.is_valid(documents.bundle(name, types), {"type": "x"}), name


# Exit codes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", table.USAGE, ids=ids)
def test_a_command_line_that_makes_no_sense_ends_with_2(shared: World, case: table.Ending) -> None:
    ran = shared.run(case.arguments)

    assert ran.returncode == case.exit_code
    assert case.said in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("case", table.NOT_FOUND, ids=ids)
def test_a_session_that_is_not_there_ends_with_6(shared: World, case: table.Ending) -> None:
    ran = shared.run(case.arguments)

    assert (ran.returncode, ran.stdout) == (case.exit_code, "")
    assert case.said in ran.stderr


@pytest.mark.parametrize(
    "case", [*table.NEEDS_AN_ANSWER, *table.AT_A_LIMIT, *table.NOTHING_TO_ANSWER], ids=ids
)
def test_what_would_go_on_with_an_answer_says_so_and_ends_with_its_own_code(
    shared: World, case: table.Ending
) -> None:
    ran = shared.run(case.arguments)

    assert ran.returncode == case.exit_code, ran.stderr
    assert case.said in ran.stderr


@pytest.mark.parametrize("arguments", table.UNREACHABLE_AS_NONE_RUNS, ids=ids)
def test_commands_that_start_no_daemon_end_with_69_where_none_runs(
    home: Home, arguments: tuple[str, ...]
) -> None:
    ran = home.run(*arguments)

    assert ran.returncode == 69
    assert "daemon not running" in ran.stdout + ran.stderr
    assert not Path(home.locations.start_lock).exists()


@pytest.mark.parametrize("arguments", table.UNREACHABLE_AS_NONE_STARTS, ids=ids)
def test_commands_that_start_a_daemon_end_with_69_where_none_can_be_started(
    home: Home, arguments: tuple[str, ...]
) -> None:
    ran = home.run(*arguments, env={"HOLDFAST_DAEMON": str(home.path / "missing")})

    assert ran.returncode == 69
    assert "holdfast" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_table_has_every_command_without_a_daemon() -> None:
    in_table = {row[0] for row in (*table.UNREACHABLE_AS_NONE_RUNS, *table.UNREACHABLE_AS_NONE_STARTS)}

    assert set(commands.SUMMARIES) - in_table == set(table.NEED_NO_DAEMON)


@pytest.mark.parametrize("name", sorted(table.NEED_NO_DAEMON))
def test_commands_that_need_no_daemon_work_without_one(home: Home, name: str) -> None:
    assert home.run(*table.NEED_NO_DAEMON[name]).returncode == 0


@pytest.mark.parametrize(("arguments", "until"), table.LASTING, ids=ids)
def test_ctrl_c_ends_what_lasts_with_130_and_a_result(
    shared: World, arguments: tuple[str, ...], until: str
) -> None:
    lasting = shared.home.start(*shared.filled(arguments))
    lines = []
    for line in lasting.stdout:
        lines.append(json.loads(line))
        if lines[-1]["type"] == until:
            lasting.send_signal(signal.SIGINT)
    _, err = lasting.communicate(timeout=60)

    assert lasting.returncode == 130, err
    assert (lines[-1]["type"], lines[-1]["exitCode"]) == ("result", 130)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments", [("logs", "{idle}"), ("ps",), ("schema",), ("export", "{idle}")], ids=ids
)
def test_a_reader_that_went_away_is_no_word_worth(shared: World, arguments: tuple[str, ...]) -> None:
    deaf = shared.home.start(*shared.filled(arguments), stdout=subprocess.PIPE)
    deaf.stdout.close()
    err = deaf.stderr.read()
    deaf.stderr.close()

    assert deaf.wait(60) == 0
    assert not [line for line in err.splitlines() if "sandbox" not in line and "completed" not in line]
