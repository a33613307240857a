"""Stock vscode-jsonrpc connects unchanged (design decision: Content-Length framing is answered in kind).

One conversation per transport; `vscode_jsonrpc.mjs` holds it and reports, the tests judge the report.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

PEERS = Path(__file__).parent
CONVERSATION_S_MAX = 60.0

Report = dict[str, Any]


@pytest.fixture(scope="module", params=["unix", "tcp", "stdio"])
def report(request: pytest.FixtureRequest, node: str, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What one conversation over one transport was answered with."""
    directory = tmp_path_factory.mktemp("work")
    environment = dict(os.environ)
    if request.param == "stdio":
        holdfastd = request.getfixturevalue("holdfastd")
        state = tmp_path_factory.mktemp("state")
        endpoint: Report = {"command": [holdfastd, "--stdio", "--state", str(state)]}
    else:
        daemon = request.getfixturevalue("daemon")
        endpoint = {request.param: getattr(daemon, request.param)}
        environment["HOLDFAST_TOKEN"] = daemon.token
    process = subprocess.run(
        [node, str(PEERS / "vscode_jsonrpc.mjs"), json.dumps(endpoint), str(directory)],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        timeout=CONVERSATION_S_MAX,
    )
    assert process.returncode == 0, process.stderr
    return {**json.loads(process.stdout), "transport": request.param}


def test_vscode_jsonrpc_is_initialized_as_controller(report: Report) -> None:
    initialized = report["initialized"]
    assert (initialized["version"], initialized["role"]) == (1, "controller")
    assert initialized["server"]["name"] == "holdfastd"


def test_vscode_jsonrpc_gets_a_session_and_its_run(report: Report) -> None:
    completed = report["completed"]
    assert completed["created"]["seq"] == 1
    assert completed["prompted"]["status"] == "started"
    assert completed["waited"]["done"] is True
    assert completed["waited"]["status"] == "completed"
    assert completed["waited"]["runId"] == completed["prompted"]["runId"]


def test_vscode_jsonrpc_is_notified_of_every_event_in_order(report: Report) -> None:
    completed = report["completed"]
    seqs = [event["seq"] for event in completed["events"]]
    assert seqs == list(range(1, completed["waited"]["seq"] + 1))
    types = [event["type"] for event in completed["events"]]
    assert types[0] == "session_started"
    assert types[-1] == "run_completed"
    assert "token_delta" in types


def test_batches_to_vscode_jsonrpc_leave_no_gap(report: Report) -> None:
    batches = report["completed"]["batches"]
    cursors = [0] + [batch["to"] for batch in batches]
    assert [batch["from"] for batch in batches] == [cursor + 1 for cursor in cursors[:-1]]


def test_vscode_jsonrpc_reads_text_beyond_ascii_whole(report: Report) -> None:
    completed = report["completed"]
    assert completed["session"]["title"] == completed["title"]
    received = next(event for event in completed["events"] if event["type"] == "prompt_received")
    assert received["content"][0]["text"] == f"Say {completed['title']}"


def test_a_cancellation_token_cancels_the_call_and_not_the_run(report: Report) -> None:
    cancelled = report["cancelled"]
    assert cancelled["waitRefusal"]["code"] == -32800
    assert cancelled["waitRefusal"]["data"]["kind"] == "request_cancelled"
    assert cancelled["statusAfterwards"] == "running"


def test_session_cancel_from_vscode_jsonrpc_ends_the_run(report: Report) -> None:
    cancelled = report["cancelled"]
    assert cancelled["cancelled"] == {"cancelled": True, "runId": cancelled["runId"]}
    assert cancelled["terminal"]["runId"] == cancelled["runId"]


@pytest.mark.parametrize(
    ("step", "code", "kind"),
    [
        ("unknownMethod", -32601, "method_not_found"),
        ("unknownSession", -32002, "not_found"),
        ("badParams", -32602, "invalid_params"),
        ("secondInitialize", -32600, "invalid_request"),
    ],
)
def test_vscode_jsonrpc_gets_the_code_and_kind_of_an_error(
    report: Report, step: str, code: int, kind: str
) -> None:
    refusal = report["refused"][step]
    assert refusal["isResponseError"] is True
    assert (refusal["code"], refusal["data"]["kind"]) == (code, kind)


def test_vscode_jsonrpc_is_told_the_path_of_a_bad_field(report: Report) -> None:
    assert report["refused"]["badParams"]["data"]["path"] == "$.cwd"


def test_the_connection_lives_on_after_errors(report: Report) -> None:
    assert report["refused"]["pingAfterwards"] == {}


def test_the_daemon_lets_go_when_vscode_jsonrpc_ends_its_side(report: Report) -> None:
    assert report["closed"] == (0 if report["transport"] == "stdio" else "closed")


def test_a_wrong_token_is_refused_and_the_connection_closed(report: Report) -> None:
    if report["transport"] == "stdio":
        assert "wrongToken" not in report  # The pipe is the right.
        return
    assert report["wrongToken"]["answer"]["code"] == -32000
    assert report["wrongToken"]["answer"]["data"]["kind"] == "auth_required"
    assert report["wrongToken"]["closed"] == "closed"
