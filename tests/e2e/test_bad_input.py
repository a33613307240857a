"""Every malformed input has a stated answer (design.md section 4, P14), and harms nothing.

All cases meet one and the same daemon. After each it serves a run, and what it had stored is what it was.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from daemon_process import WAIT_S, Daemon, holdfastd, start, temporary_home
from wire_client import CallError, Client, ConnectionClosed, Framing

MESSAGE_BYTES_MAX = 8 * 1024 * 1024

HANDSHAKE_BYTES_MAX = 16 * 1024

FRAMINGS: tuple[Framing, ...] = ("lines", "headers")


class Kept(NamedTuple):
    """A daemon with one finished session, one that was deleted, and what the first was when it was made."""

    daemon: Daemon
    session_id: str
    deleted_id: str
    export: list[str]


async def _keep(daemon: Daemon) -> Kept:
    async with await daemon.connect() as client:
        session_id = await client.create_session(daemon.work, title="kept")
        await _run(client, session_id, "say this is kept")
        deleted_id = await client.create_session(daemon.work)
        await client.call("session/delete", sessionId=deleted_id)
        return Kept(daemon, session_id, deleted_id, await client.export(session_id))


async def _run(client: Client, session_id: str, text: str) -> None:
    started = await client.prompt(session_id, text)
    waited = await client.call("session/wait", sessionId=session_id, runId=started["runId"])
    assert waited["status"] == "completed"


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    with temporary_home() as home:
        daemon = anyio.run(start, home, "--tcp")
        try:
            yield anyio.run(_keep, daemon)
            daemon.process.terminate()
            assert daemon.process.wait(WAIT_S) == 0
        finally:
            daemon.process.kill()
            daemon.process.wait()


async def check_unharmed(kept: Kept) -> None:
    """The same process serves a run, and the kept session is what it was."""
    assert kept.daemon.process.poll() is None
    async with await kept.daemon.connect() as client:
        session_id = await client.create_session(kept.daemon.work)
        await _run(client, session_id, "say still here")
        assert await client.export(kept.session_id) == kept.export
    assert kept.daemon.logged_errors() == []


def request(method: str, params: Any = None, **members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params, **members}).encode()


# Frames that are no request ----------------------------------------------------------------------------

PARSE_ERROR, INVALID_REQUEST = (-32700, "parse_error"), (-32600, "invalid_request")

FRAMES: dict[str, tuple[bytes, tuple[int, str], Any, dict[str, Any]]] = {
    "cut off": (b'{"jsonrpc": "2.0", "id": 7, "method": "ping"', PARSE_ERROR, None, {}),
    "two values": (b'{"jsonrpc": "2.0", "id": 7, "method": "ping"} 1', PARSE_ERROR, None, {}),
    "no JSON": (b"{not json}", PARSE_ERROR, None, {}),
    "not a number": (request("ping", None, x=1).replace(b"1}", b"NaN}"), PARSE_ERROR, None, {}),
    "no UTF-8": (b'{"jsonrpc": "2.0", "id": 7, "method": "\xff\xfe"}', PARSE_ERROR, None, {}),
    "no UTF-8 in an unknown member": (
        b'{"jsonrpc": "2.0", "id": 7, "method": "ping", "x": "\xc3("}',
        PARSE_ERROR,
        None,
        {},
    ),
    "10,000 arrays deep": (
        b'{"jsonrpc":"2.0","id":7,"method":"ping","params":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        PARSE_ERROR,
        None,
        {"limit": "depth_max", "limitValue": 128},
    ),
    "10,000 objects deep, unclosed": (
        b'{"a":' * 10_000,
        PARSE_ERROR,
        None,
        {"limit": "depth_max", "limitValue": 128},
    ),
    "too many members": (
        request("ping", {"x": [0] * 10_001}),
        PARSE_ERROR,
        None,
        {"limit": "members_max", "limitValue": 10_000},
    ),
    "a batch": (b"[" + request("ping") + b"]", INVALID_REQUEST, None, {}),
    "an empty batch": (b"[]", INVALID_REQUEST, None, {}),
    "another version": (request("ping", jsonrpc="1.0"), INVALID_REQUEST, 7, {"path": "$.jsonrpc"}),
    "no version": (b'{"id":7,"method":"ping"}', INVALID_REQUEST, 7, {"path": "$.jsonrpc"}),
    "no method": (b'{"jsonrpc":"2.0","id":7}', INVALID_REQUEST, 7, {}),
    "a method that is a number": (
        b'{"jsonrpc":"2.0","id":7,"method":5}',
        INVALID_REQUEST,
        7,
        {"path": "$.method"},
    ),
    "a null id": (request("ping", id=None), INVALID_REQUEST, None, {"path": "$.id"}),
    "a fractional id": (request("ping", id=1.5), INVALID_REQUEST, None, {"path": "$.id"}),
    "an id that is true": (request("ping", id=True), INVALID_REQUEST, None, {"path": "$.id"}),
    "an id over 2^63": (request("ping", id=2**63), INVALID_REQUEST, None, {"path": "$.id"}),
    "an id that is too long": (request("ping", id="x" * 257), INVALID_REQUEST, None, {"path": "$.id"}),
    "params that are a number": (request("ping", 5), INVALID_REQUEST, 7, {"path": "$.params"}),
    "a member twice": (b'{"jsonrpc":"2.0","id":7,"method":"ping","method":"ping"}', INVALID_REQUEST, 7, {}),
    "initialize once more": (request("initialize", {}), INVALID_REQUEST, 7, {}),
    "unknown method": (request("session/levitate"), (-32601, "method_not_found"), 7, {}),
    "a notification's name as a call": (request("session/events"), (-32601, "method_not_found"), 7, {}),
}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("case", FRAMES)
async def test_a_bad_frame_gets_its_error_and_the_connection_goes_on(
    kept: Kept, case: str, framing: Framing
) -> None:
    body, (code, kind), answered_id, details = FRAMES[case]
    with anyio.fail_after(WAIT_S):
        async with await kept.daemon.connect("unix", framing) as client:
            await client.write(client.frame(body))
            answer = await client.next_message()
            assert answer.error is not None
            assert (answer.id, answer.error["code"], answer.error["data"]["kind"]) == (
                answered_id,
                code,
                kind,
            )
            assert details.items() <= answer.error["data"].items()
            assert await client.call("ping") == {}
        await check_unharmed(kept)


async def test_an_empty_body_after_headers_is_no_json(kept: Kept) -> None:
    with anyio.fail_after(WAIT_S):
        async with await kept.daemon.connect("unix", "headers") as client:
            await client.write(client.frame(b""))
            answer = await client.next_message()
            assert answer.error is not None
            assert (answer.id, answer.error["code"]) == (None, -32700)
            assert await client.call("ping") == {}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("excess", [0, 1])
async def test_a_message_may_be_8_mib_and_not_a_byte_more(kept: Kept, framing: Framing, excess: int) -> None:
    with anyio.fail_after(WAIT_S):
        async with await kept.daemon.connect("unix", framing) as client:
            assert client.limits["messageBytesMax"] == MESSAGE_BYTES_MAX
            empty = request("ping", {"x": ""})
            body = request("ping", {"x": "x" * (MESSAGE_BYTES_MAX + excess - len(empty))})
            assert len(body) == MESSAGE_BYTES_MAX + excess
            frame = client.frame(body)
            with contextlib.suppress(ConnectionClosed):  # It need not wait for the end to refuse it.
                await client.write(frame)
            answer = await client.next_message()
            if not excess:
                assert (answer.id, answer.error) == (7, None)
                return
            assert answer.error is not None
            assert (answer.id, answer.error["code"]) == (None, -32009)
            assert answer.error["data"]["kind"] == "too_large"
            assert answer.error["data"]["limit"] == "message_bytes_max"
            assert answer.error["data"]["limitValue"] == MESSAGE_BYTES_MAX
            with pytest.raises(ConnectionClosed):
                await client.next_message()
        await check_unharmed(kept)


# Calls that do not fit ---------------------------------------------------------------------------------


class Refusal(NamedTuple):
    """A call and how it is refused; `KEPT` and `DELETED` stand for the sessions' ids."""

    method: str
    params: dict[str, Any] | list[Any]
    code: int
    data: dict[str, Any]


TEXT = {"type": "text", "text": "hi"}

INVALID, NOT_FOUND, CURSOR = (-32602, "invalid_params"), (-32002, "not_found"), (-32008, "cursor_invalid")


def _refusal(error: tuple[int, str], method: str, params: Any, **data: Any) -> Refusal:
    return Refusal(method, params, error[0], {"kind": error[1], **data})


CALLS: dict[str, Refusal] = {
    "params that are an array": _refusal(INVALID, "session/get", ["KEPT"], path="$"),
    "no cwd": _refusal(INVALID, "session/create", {}, path="$"),
    "a cwd that is missing": _refusal(
        INVALID, "session/create", {"cwd": "/no/such/directory"}, path="$.cwd", resource="directory"
    ),
    "a cwd that is a file": _refusal(INVALID, "session/create", {"cwd": "/etc/passwd"}, path="$.cwd"),
    "a relative cwd": _refusal(INVALID, "session/create", {"cwd": "."}, path="$.cwd"),
    "a cwd with a NUL": _refusal(INVALID, "session/create", {"cwd": "/tmp\0"}, path="$.cwd"),
    "a root that is missing": _refusal(
        INVALID, "session/create", {"cwd": "/", "roots": ["/", "/no/such"]}, path="$.roots[1]"
    ),
    "an id that is no identifier": _refusal(INVALID, "session/get", {"sessionId": "a b"}, path="$.sessionId"),
    "an id that is a number": _refusal(INVALID, "session/get", {"sessionId": 5}, path="$.sessionId"),
    "an id with a newline": _refusal(INVALID, "session/get", {"sessionId": "KEPT\n"}, path="$.sessionId"),
    "no content": _refusal(INVALID, "session/prompt", {"sessionId": "KEPT", "content": []}, path="$.content"),
    "content of the wrong type": _refusal(
        INVALID,
        "session/prompt",
        {"sessionId": "KEPT", "content": [TEXT, {"type": "text", "text": 5}]},
        path="$.content[1].text",
    ),
    "content of an unknown type": _refusal(
        INVALID,
        "session/prompt",
        {"sessionId": "KEPT", "content": [{"type": "smell"}]},
        path="$.content[0].type",
    ),
    "an unknown delivery": _refusal(
        INVALID,
        "session/prompt",
        {"sessionId": "KEPT", "content": [TEXT], "delivery": "owl"},
        path="$.delivery",
    ),
    "a prompt over its limit": _refusal(
        (-32009, "too_large"),
        "session/prompt",
        {"sessionId": "KEPT", "content": [{"type": "text", "text": "x" * 600_000}]},
        path="$.content",
        limit="prompt_bytes_max",
    ),
    "an unknown model": _refusal(
        NOT_FOUND,
        "session/prompt",
        {"sessionId": "KEPT", "content": [TEXT], "model": "no/such"},
        path="$.model",
        resource="model",
        id="no/such",
    ),
    "an unknown model for a session": _refusal(
        NOT_FOUND, "session/create", {"cwd": "/", "model": "no/such"}, path="$.model", resource="model"
    ),
    "an unknown agent for a session": _refusal(
        NOT_FOUND, "session/create", {"cwd": "/", "agent": "nobody"}, path="$.agent", resource="agent"
    ),
    "a session that never was": _refusal(
        NOT_FOUND, "session/subscribe", {"sessionId": "nobody"}, resource="session", id="nobody"
    ),
    "a prompt to a deleted session": _refusal(
        NOT_FOUND, "session/prompt", {"sessionId": "DELETED", "content": [TEXT]}, resource="session"
    ),
    "a subscription to a deleted session": _refusal(
        NOT_FOUND, "session/subscribe", {"sessionId": "DELETED"}, resource="session"
    ),
    "a cancel in a deleted session": _refusal(
        NOT_FOUND, "session/cancel", {"sessionId": "DELETED"}, resource="session"
    ),
    "the id of a deleted session": _refusal(
        (-32006, "conflict"), "session/create", {"cwd": "/", "sessionId": "DELETED"}, resource="session"
    ),
    "a run that never was": _refusal(
        NOT_FOUND, "session/wait", {"sessionId": "KEPT", "runId": "r99"}, resource="run"
    ),
    "a run that needs no continuing": _refusal(
        (-32006, "conflict"), "session/continue", {"sessionId": "KEPT"}, resource="run"
    ),
    "a subscription beyond the head": _refusal(
        CURSOR, "session/subscribe", {"sessionId": "KEPT", "after": 10_000}, oldest=1
    ),
    "a subscription of another epoch": _refusal(
        CURSOR, "session/subscribe", {"sessionId": "KEPT", "after": 1, "epoch": "0" * 16}, oldest=1
    ),
    "a page beyond the head": _refusal(
        CURSOR, "session/read", {"sessionId": "KEPT", "after": 10_000}, oldest=1
    ),
    "a page after the end of a run": _refusal(
        CURSOR, "session/read", {"sessionId": "KEPT", "runId": "r1", "after": 10_000}, oldest=1
    ),
    "an export beyond the head": _refusal(
        CURSOR, "session/export", {"sessionId": "KEPT", "after": 10_000}, oldest=1
    ),
    "a fork beyond the head": _refusal(
        CURSOR, "session/fork", {"sessionId": "KEPT", "at": 10_000}, oldest=1, path="$.at"
    ),
    "a negative cursor": _refusal(
        INVALID, "session/subscribe", {"sessionId": "KEPT", "after": -1}, path="$.after"
    ),
    "a fractional cursor": _refusal(
        INVALID, "session/subscribe", {"sessionId": "KEPT", "after": 1.5}, path="$.after"
    ),
    "a cursor over 2^64": _refusal(
        CURSOR, "session/subscribe", {"sessionId": "KEPT", "after": 2**70}, oldest=1
    ),
    "a page before 2^70": _refusal(CURSOR, "session/read", {"sessionId": "KEPT", "before": 2**70}, oldest=1),
    "a fork at 2^70": _refusal(CURSOR, "session/fork", {"sessionId": "KEPT", "at": 2**70}, oldest=1),
    "an expected head of 2^70": _refusal(
        (-32006, "conflict"),
        "session/update",
        {"sessionId": "KEPT", "title": "x", "expect": 2**70},
        resource="session",
    ),
    "an unknown event type": _refusal(
        INVALID, "session/subscribe", {"sessionId": "KEPT", "types": ["run_eaten"]}, path="$.types[0]"
    ),
}


def _with_ids(value: Any, kept: Kept) -> Any:
    text = json.dumps(value).replace("KEPT", kept.session_id).replace("DELETED", kept.deleted_id)
    return json.loads(text)


@pytest.mark.parametrize("case", CALLS)
async def test_a_call_that_does_not_fit_is_refused_with_what_was_wrong(kept: Kept, case: str) -> None:
    refusal = CALLS[case]
    with anyio.fail_after(WAIT_S):
        async with await kept.daemon.connect() as client:
            await client.write(client.frame(request(refusal.method, _with_ids(refusal.params, kept))))
            with pytest.raises(CallError) as refused:
                await client.answer(7)
            assert refused.value.code == refusal.code
            assert refusal.data.items() <= refused.value.data.items()
            if refusal.code == -32008:
                head, epoch = refused.value.data["head"], refused.value.data["epoch"]
                assert head == len(kept.export) - 1
                assert epoch == json.loads(kept.export[0])["epoch"]
        await check_unharmed(kept)


async def test_an_id_in_flight_is_refused_under_null_and_the_first_call_is_answered(kept: Kept) -> None:
    with anyio.fail_after(WAIT_S):
        async with await kept.daemon.connect() as client:
            session_id = await client.create_session(kept.daemon.work)
            started = await client.prompt(session_id, "script:\n  - hang: true\n")
            wait = request("session/wait", {"sessionId": session_id, "runId": started["runId"]})
            await client.write(client.frame(wait) + client.frame(wait))
            refused = await client.next_message()
            while refused.method is not None:
                refused = await client.next_message()
            assert refused.error is not None
            assert (refused.id, refused.error["code"]) == (None, -32600)
            assert refused.error["data"]["path"] == "$.id"
            await client.call("session/cancel", sessionId=session_id)
            assert (await client.answer(7))["status"] == "cancelled"
        await check_unharmed(kept)


# Before `initialize` -----------------------------------------------------------------------------------


def _initialize(kept: Kept, **changes: Any) -> bytes:
    params = {
        "protocol": "holdfast",
        "versions": [1],
        "client": {"id": "early"},
        "token": kept.daemon.record["token"],
        **changes,
    }
    return request("initialize", params)


REFUSED_EARLY: dict[str, tuple[dict[str, Any] | str, int, dict[str, Any]]] = {
    "another request": ("session/list", -32011, {"kind": "not_initialized"}),
    "a ping": ("ping", -32011, {"kind": "not_initialized"}),
    "an unknown method": ("session/levitate", -32011, {"kind": "not_initialized"}),
    "a wrong token": ({"token": "x" * 43}, -32000, {"kind": "auth_required"}),
    "no token": ({"token": None}, -32000, {"kind": "auth_required"}),
    "a token that is no ASCII": ({"token": "\u00fc\u20ac"}, -32000, {"kind": "auth_required"}),
    "no common version": (
        {"versions": [2, 3]},
        -32005,
        {"kind": "unsupported_version", "supported": [1]},
    ),
    "another protocol": (
        {"protocol": "lsp"},
        -32602,
        {"kind": "invalid_params", "path": "$.protocol"},
    ),
    "no versions": ({"versions": []}, -32602, {"kind": "invalid_params", "path": "$.versions"}),
    "a client without an id": ({"client": {}}, -32602, {"kind": "invalid_params", "path": "$.client"}),
}


@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("case", REFUSED_EARLY)
async def test_before_initialize_a_request_is_refused_and_the_connection_closes(
    kept: Kept, case: str, transport: Any
) -> None:
    what, code, data = REFUSED_EARLY[case]
    body = request(what, {}) if isinstance(what, str) else _initialize(kept, **what)
    with anyio.fail_after(WAIT_S):
        async with kept.daemon.dial(transport) as client:
            await client.write(client.frame(body))
            with pytest.raises(CallError) as refused:
                await client.answer(7)
            assert refused.value.code == code
            assert data.items() <= refused.value.data.items()
            with pytest.raises(ConnectionClosed):
                await client.next_message()
        await check_unharmed(kept)


CLOSED_EARLY: dict[str, bytes] = {
    "no JSON": b"{not json}\n",
    "no UTF-8": b'{"jsonrpc": "2.0", "id": 7, "method": "\xff"}\n',
    "a batch": b"[" + request("ping") + b"]\n",
    "a notification": b'{"jsonrpc": "2.0", "method": "initialize"}\n',
    "a response": b'{"jsonrpc": "2.0", "id": 1, "result": 1}\n',
    "10,000 arrays deep": b"[" * 10_000 + b"\n",
    "a line over 16 KiB": b'{"jsonrpc": "2.0", "id": 7, "method": "initialize", "x": "'
    + b"x" * HANDSHAKE_BYTES_MAX,
    "a length over 16 KiB": b"Content-Length: %d\r\n\r\n" % (HANDSHAKE_BYTES_MAX + 1),
    "a length that is no number": b"Content-Length: many\r\n\r\n",
    "no length": b"Content-Type: x\r\n\r\n",
    "a header block over 8 KiB": b"C" + b"x" * 9000,
    "a web page's request": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a zero byte": b"\0",
}


@pytest.mark.parametrize("case", CLOSED_EARLY)
async def test_before_initialize_anything_else_closes_the_connection_without_a_word(
    kept: Kept, case: str
) -> None:
    with anyio.fail_after(WAIT_S):
        async with kept.daemon.dial() as client:
            await client.write(CLOSED_EARLY[case])
            await anyio.wait_readable(client.reading)
            try:
                said = os.read(client.reading, 100)
            except ConnectionResetError:  # It closed with bytes of ours unread.
                said = b""
            assert said == b""
        await check_unharmed(kept)


# Processes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [["--runtime", "RUN"], ["--stdio"]])
async def test_a_second_daemon_on_the_same_state_refuses_and_names_the_first(
    kept: Kept, mode: list[str]
) -> None:
    home = kept.daemon.home
    flags = [str(home / "run") if flag == "RUN" else flag for flag in mode]
    record = _read(home / "run" / "daemon-v1.json")
    with anyio.fail_after(WAIT_S):
        command = [holdfastd(), "--state", str(home / "state"), *flags]
        second = await anyio.run_process(command, stdin=subprocess.DEVNULL, check=False)
    assert second.returncode == os.EX_TEMPFAIL
    assert second.stdout == b""
    assert str(kept.daemon.pid) in second.stderr.decode()
    assert second.stderr.count(b"\n") == 1
    assert _read(home / "run" / "daemon-v1.json") == record
    with anyio.fail_after(WAIT_S):
        await check_unharmed(kept)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


async def test_a_sidecar_without_a_state_directory_is_refused() -> None:
    with anyio.fail_after(WAIT_S):
        process = await anyio.run_process([holdfastd(), "--stdio"], check=False)
    assert process.returncode == 2
    assert b"--state" in process.stderr
