"""`holdfast doctor`: what it finds, what it says to do, what it repairs, and what it never says."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import jsonschema_rs
import pytest

from holdfast_client.shell import doctor, documents
from holdfast_client.shell.diagnosis import models, processes
from holdfast_client.shell.diagnosis.check import Check, Finding, Scene
from holdfast_client.shell.exit_codes import CommandFailed
from holdfast_protocol.discovery import SUN_PATH_BYTES_MAX

VALIDATOR = jsonschema_rs.validator_for(documents.bundle("doctor", {}))


def look(home, *arguments, env=None):
    """Run the doctor and give its checks and its exit code; what it prints fits its schema."""
    ran = home.run("doctor", "--json", *arguments, env=env)
    document = json.loads(ran.stdout)
    VALIDATOR.validate(document)
    assert ran.stderr == ""
    failed = any(check["status"] == "failed" for check in document["checks"].values())
    assert ran.returncode == (1 if failed else 0)
    return document["checks"]


def private_directory(path):
    Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(path)


def write_record(home, **members):
    """Write a discovery record as a daemon would."""
    private_directory(home.locations.runtime)
    record = {
        "protocol": "holdfast",
        "major": 1,
        "version": "0.1.0",
        "instanceId": "gone",
        "pid": 1,
        "startedAt": 0,
        "unix": home.locations.socket,
        "tcp": None,
        "ws": None,
        "token": "t" * 43,
        "state": home.locations.state,
        "log": home.locations.log,
        **members,
    }
    path = Path(home.locations.record)
    path.touch(mode=0o600)
    path.write_text(json.dumps(record))
    return path


# In a home where nothing has happened ----------------------------------------------------------------------


def test_in_a_new_home_nothing_is_wrong_and_nothing_is_made(home):
    checks = look(home)
    assert set(checks) == {check.id for check in doctor.CHECKS}
    assert {name for name, check in checks.items() if check["status"] != "ok"} <= {"sandbox", "programs"}
    assert list(home.path.iterdir()) == []


def test_rows_are_grouped_and_what_is_not_right_has_a_fix(home):
    home.write("[nett]\n")
    ran = home.run("doctor")
    lines = ran.stdout.splitlines()
    assert ran.returncode == 1
    assert [line for line in lines if line and not line.startswith(" ")][:6] == [
        "Program",
        "Configuration",
        "Directories",
        "Daemon",
        "Tools",
        "Models",
    ]
    at = lines.index(f"  [XX] one mistake: {home.file}:1: unknown section [nett], did you mean [net]?")
    assert lines[at + 1].startswith("       fix: ")
    assert lines[-1].endswith("1 [XX]")


@pytest.mark.parametrize("installed", [True, False])
def test_without_a_daemon_the_doctor_says_whether_bubblewrap_is_there(home, tmp_path, installed):
    if installed:
        (tmp_path / "bwrap").write_text("#!/bin/sh\n")
        (tmp_path / "bwrap").chmod(0o755)
    check = look(home, env={"PATH": str(tmp_path)})["sandbox"]
    assert check["status"] == ("ok" if installed else "warning")
    assert check["summary"].startswith("bubblewrap is there" if installed else "no sandbox")
    assert ("install bubblewrap" in str(check)) is not installed


# Configuration ---------------------------------------------------------------------------------------------


def test_each_value_that_is_no_default_says_where_it_comes_from(home):
    home.write("[net]\nconnections_max = 5\n")
    check = look(home, env={"HOLDFAST_TCP": "off", "HOLDFAST_WS": "1"})["settings"]
    assert check["details"] == [
        "listen.tcp = off (default off), from HOLDFAST_TCP",
        "listen.ws = 1 (default off), from HOLDFAST_WS",
        f"net.connections_max = 5 (default 1024), from {home.file}:2",
    ]
    assert "net.connections_max = 5" in home.run("doctor").stdout


def test_every_mistake_of_the_file_is_a_detail(home):
    home.write("[net]\na = 1\nb = 1\n")
    check = look(home)["settings"]
    assert (check["status"], len(check["details"])) == ("failed", 2)


def test_a_variable_of_no_setting_is_a_warning_with_the_nearest_name(home):
    check = look(home, env={"HOLDFAST_COLRO": "x"})["variables"]
    assert check["status"] == "warning"
    assert "did you mean HOLDFAST_COLOR?" in check["summary"]


# Directories -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mode"), [("state", 0o755), ("runtime", 0o770), ("config", 0o722), ("state", 0o701)]
)
def test_a_directory_open_to_others_is_found_and_closed_by_fix(home, name, mode):
    path = private_directory(getattr(home.locations, name))
    path.chmod(mode)
    check = look(home)[f"{name}Directory"]
    assert (check["status"], check["remediation"]) == ("failed", f"chmod 700 {path}")
    assert path.stat().st_mode & 0o777 == mode

    repaired = look(home, "--fix")[f"{name}Directory"]

    assert repaired["status"] == "ok"
    assert repaired["details"] == [f"repaired: set the mode of {path} to 0700"]
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_configuration_that_others_can_read_is_fine(home):
    private_directory(home.locations.config).chmod(0o755)
    assert look(home)["configDirectory"]["status"] == "ok"


@pytest.mark.parametrize("name", ["state", "runtime"])
def test_a_link_in_place_of_a_private_directory_is_refused_and_not_followed(home, name):
    elsewhere = private_directory(home.path / "elsewhere")
    elsewhere.chmod(0o755)
    Path(getattr(home.locations, name)).symlink_to(elsewhere)
    assert look(home, "--fix")[f"{name}Directory"]["status"] == "failed"
    assert elsewhere.stat().st_mode & 0o777 == 0o755


def test_a_token_others_can_read_is_found_and_closed_by_fix(home):
    token = private_directory(home.locations.state) / "token"
    token.write_text("x" * 43)
    token.chmod(0o644)
    assert look(home)["files"]["status"] == "failed"
    assert look(home, "--fix")["files"]["status"] == "ok"
    assert token.stat().st_mode & 0o777 == 0o600


def test_a_socket_path_that_is_too_long_is_found(home):
    deep = home.path / ("x" * SUN_PATH_BYTES_MAX)
    deep.mkdir()
    check = look(home, env={"HOLDFAST_HOME": str(deep)})["socketPath"]
    assert check["status"] == "failed"
    assert "HOLDFAST_HOME" in check["remediation"]


def test_a_network_file_system_is_found(home, monkeypatch):
    from holdfast_client.shell.diagnosis import directories

    monkeypatch.setattr(directories, "_mounts", lambda: "server:/x / nfs4 rw 0 0\n")
    finding = directories._file_system(Scene(home.locations, {}))
    assert finding.status == "failed"
    assert "nfs4" in finding.summary


@pytest.mark.parametrize(("free_mib", "status"), [(50, "failed"), (500, "warning"), (5000, "ok")])
def test_little_room_is_a_warning_and_no_room_a_failure(home, monkeypatch, free_mib, status):
    from holdfast_client.shell.diagnosis import directories

    system = os.statvfs_result((4096, 4096, 0, 0, free_mib * 256, 0, 0, 0, 0, 255))
    monkeypatch.setattr(directories.os, "statvfs", lambda _: system)
    assert directories._room(Scene(home.locations, {})).status == status


# The daemon ------------------------------------------------------------------------------------------------


def test_a_daemon_that_runs_is_found_and_left_running(home):
    socket_info = json.loads(home.run("socket", "--json").stdout)
    checks = look(home, "--fix")
    for name in ("record", "daemon", "daemonVersion", "daemonSettings", "lock", "journal", "leftovers"):
        assert checks[name]["status"] == "ok", checks[name]
    assert f"pid {socket_info['pid']} answers" in checks["daemon"]["summary"]
    assert checks["lock"]["summary"] == "the daemon that answers holds the log"
    assert json.loads(home.run("socket", "--json").stdout)["instanceId"] == socket_info["instanceId"]


def test_a_stale_record_is_a_warning_and_removed_by_fix_alone(home):
    record = write_record(home)
    check = look(home)["record"]
    assert check["status"] == "warning"
    assert check["summary"].startswith("stale")
    assert record.exists()

    assert look(home, "--fix")["record"]["status"] == "ok"

    assert not record.exists()


@pytest.mark.parametrize(
    "members",
    [
        {"unix": "/tmp/of-somebody-else.sock"},
        {"protocol": "other"},
        {"major": 2},
        {"state": "/elsewhere"},
        {"unix": 5},
        {"token": None},
    ],
)
def test_a_record_no_daemon_of_ours_would_write_is_failed_and_never_removed(home, members):
    record = write_record(home, **members)
    assert look(home, "--fix")["record"]["status"] == "failed"
    assert record.exists()


@pytest.mark.parametrize("mode", [0o644, 0o666])
def test_a_record_others_can_read_is_refused(home, mode):
    write_record(home).chmod(mode)
    check = look(home, "--fix")["record"]
    assert check["status"] == "failed"
    assert Path(home.locations.record).exists()


def test_a_record_that_is_a_link_is_refused(home):
    record = write_record(home)
    record.rename(home.path / "real.json")
    record.symlink_to(home.path / "real.json")
    assert look(home, "--fix")["record"]["status"] == "failed"
    assert (home.path / "real.json").exists()


@pytest.mark.parametrize("content", ["", "[]", "{", "nul", '"text"', "[" * 100_000])
def test_a_record_that_is_garbage_ends_no_check_with_a_traceback(home, content):
    write_record(home).write_text(content)
    assert look(home)["record"]["status"] == "failed"


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the kernel does not list locks here")
def test_a_process_that_holds_the_log_and_does_not_answer_is_named_and_not_touched(home):
    lock = private_directory(home.locations.state) / "daemon.lock"
    script = (
        "import fcntl, os, sys\n"
        "file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX)\n"
        "file.write(str(os.getpid())); file.flush(); print('held', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        lock.chmod(0o600)
        assert processes.lock_holder(str(lock)) == holder.pid
        check = look(home, "--fix")["lock"]
        assert check["status"] == "failed"
        assert f"process {holder.pid} holds the log" in check["summary"]
        assert holder.poll() is None
        holder.communicate("")
    assert processes.lock_holder(str(lock)) is None


def test_a_log_that_is_no_database_is_found(home):
    database = private_directory(home.locations.state) / "journal.db"
    database.touch(mode=0o600)
    database.write_text("nothing of the kind")
    assert look(home)["journal"]["status"] == "failed"


def test_something_else_on_the_socket_is_found_and_the_record_left(home):
    record = write_record(home)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(home.locations.socket)
        listener.listen()

        def answer():
            with suppress(OSError):  # Shut down at the test's end.
                while True:
                    with listener.accept()[0] as peer:
                        peer.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            check = look(home, "--fix")["record"]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(60)
    assert check["status"] == "failed"
    assert "is no daemon" in check["summary"]
    assert record.exists()


# Models ----------------------------------------------------------------------------------------------------


def test_keys_are_named_and_their_values_never_said(home):
    key = "sk-very-secret-value-1234567890"
    env = {"OPENAI_API_KEY": key, "HOLDFAST_MODEL": key}
    assert look(home, env=env)["modelKeys"]["details"] == ["OPENAI_API_KEY"]
    for arguments in (["doctor"], ["doctor", "--json"]):
        said = home.run(*arguments, env=env).stdout
        assert key not in said
        assert "[redacted]" in said  # The setting that repeats it.


def test_the_daemons_token_is_never_said(home):
    token = "T" * 43
    write_record(home, token=token, unix=f"/tmp/{token}")
    said = home.run("doctor", "--json").stdout
    assert token not in said
    assert "/tmp/[redacted]" in said


@contextmanager
def server_saying(answer):
    """Serve one connection with these bytes, on loopback; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with listener.accept()[0] as peer:
                peer.recv(65536)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(60)


@pytest.fixture
def patient(monkeypatch):
    """A probe's time is no part of what it says: machines are shared."""
    monkeypatch.setattr(models, "PROBE_TIMEOUT_S", 30.0)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'HTTP/1.0 200 OK\r\n\r\n{"models": [{}, {}]}', "2 models"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"data": []}', "parse"),
        (b"HTTP/1.0 200 OK\r\n\r\n<html>", "parse"),
        (b"HTTP/1.0 404 Not Found\r\n\r\n", "http_404"),
        (b"HTTP/1.0 500 Oh\r\n\r\n", "http_500"),
        (b"", "parse"),
        (b"\xff\x00 junk", "parse"),
    ],
)
def test_a_probe_says_how_many_models_or_a_stable_code(answer, said):
    with server_saying(answer) as port:
        assert models.probe(models._SERVERS[0]._replace(port=port)) == said


@pytest.mark.usefixtures("patient")
def test_a_port_nobody_listens_on_is_refused():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert models.probe(models._SERVERS[0]._replace(port=unused.getsockname()[1])) == "connect_refused"


def test_a_server_that_says_nothing_times_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert models.probe(models._SERVERS[0]._replace(port=silent.getsockname()[1])) == "timeout"


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("127.0.0.1:5", 5),
        ("http://localhost:6/", 6),
        ("models.example:80", 11434),
        ("0.0.0.0:80", 11434),
        ("127.0.0.1:x", 11434),
        ("127.0.0.1:99999", 11434),
        ("", 11434),
    ],
)
def test_only_this_machine_is_asked(host, port):
    assert models.servers({"OLLAMA_HOST": host})[0].port == port


# The doctor itself -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied", "/x"), CommandFailed("Permission denied")]
)
def test_a_check_that_cannot_look_has_failed_and_says_why(home, error):
    def refuse(_):
        raise error

    finding = doctor._look(Check("x", "X", refuse), Scene(home.locations, {}))
    assert finding.status == "failed"
    assert "Permission denied" in finding.summary


def test_a_repair_that_fails_leaves_the_finding_and_says_why(home):
    def refuse():
        raise PermissionError(1, "Operation not permitted")

    finding = Finding("failed", "wrong", (), "do it", refuse)
    row = doctor._row(Check("x", "X", lambda _: finding), Scene(home.locations, {}), may_fix=True)
    assert row.finding.status == "failed"
    assert row.finding.details == ("could not be repaired: Operation not permitted",)


def test_every_check_has_an_id_of_its_own():
    assert len({check.id for check in doctor.CHECKS}) == len(doctor.CHECKS)


@pytest.mark.parametrize(
    "broken", [{}, {"schemaVersion": 2, "checks": {}}, {"schemaVersion": 1, "checks": {"a": {}}}]
)
def test_the_schema_refuses_what_is_no_report(broken):
    assert not VALIDATOR.is_valid(broken)
