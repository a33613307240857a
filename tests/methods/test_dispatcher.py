"""From a request to its handler: roles, params, errors; and that the tables are whole."""

import logging
from typing import Any

import pytest
from core_world import core_running

from holdfast_daemon.methods.dispatcher import HANDLERS, IMMEDIATE
from holdfast_protocol.capabilities import ROLES, Role
from holdfast_protocol.errors import (
    Forbidden,
    InternalError,
    InvalidParams,
    MethodNotFound,
    UnsupportedVersion,
)
from holdfast_protocol.methods import CALLS


def test_every_call_of_the_method_table_has_a_handler_and_no_other_has() -> None:
    assert set(CALLS) == {*HANDLERS, *IMMEDIATE, "initialize"}


async def test_an_unknown_method_is_not_found_and_neither_is_a_notification() -> None:
    async with core_running() as core:
        for method in ("session/nothing", "", "session/events", "initialize", "__init__"):
            with pytest.raises(MethodNotFound):
                await core.client().call(method)


@pytest.mark.parametrize("role", ROLES)
async def test_no_method_is_served_above_the_callers_role(role: Role) -> None:
    """Each is called with nothing: what is allowed goes on to say what is missing, or answers."""
    async with core_running() as core:
        client = core.client(role=role)
        for method, row in CALLS.items():
            if method == "initialize":
                continue
            allowed = ROLES.index(role) >= ROLES.index(row.role)
            try:
                await client.call(method, path="no such member")
                refused = False
            except Forbidden:
                refused = True
            except InvalidParams:
                refused = False
            assert refused is not allowed, f"{method} as {role}"


async def test_a_bad_param_is_named_by_its_path() -> None:
    async with core_running() as core:
        client = core.client()
        for params, path in (
            ({"cwd": 7}, "$.cwd"),
            ({"cwd": "/", "roots": ["/", 7]}, "$.roots[1]"),
            ({"cwd": "/", "env": {"A": 1}}, "$.env[...]"),
            ({"cwd": "relative"}, "$.cwd"),
            ({"cwd": "/no/such/directory"}, "$.cwd"),
            ({"cwd": "/", "roots": ["/", "/no/such"]}, "$.roots[1]"),
            ({}, "$"),
        ):
            with pytest.raises(InvalidParams) as caught:
                await client.call("session/create", **params)
            assert caught.value.data.path == path


async def test_params_are_an_object_or_nothing() -> None:
    async with core_running() as core:
        client = core.client()
        for params in (None, {}):
            assert await core.dispatcher.call(client._caller, "session/list", params)
        for params in ([], [1], "x"):
            with pytest.raises(InvalidParams) as caught:
                await core.dispatcher.call(client._caller, "session/list", params)
            assert caught.value.data.path == "$"


async def test_a_bug_in_a_handler_ends_its_request_only_and_names_an_incident(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_args: Any) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setitem(HANDLERS, "session/list", fail)
    async with core_running() as core:
        client = core.client()
        with caplog.at_level(logging.ERROR, "holdfast_daemon"), pytest.raises(InternalError) as caught:
            await client.call("session/list")
        assert "secret" not in caught.value.message
        assert caught.value.data.incident_id
        assert caught.value.data.incident_id in caplog.text
        assert await client.call("ping") == {}


async def test_the_newest_common_version_is_agreed_on_and_the_token_comes_first() -> None:
    seen: list[str | None] = []

    def role_of(token: str | None) -> Role:
        seen.append(token)
        return "observer"

    async with core_running() as core:
        hello = {
            "protocol": "holdfast",
            "versions": [7, 1, 99],
            "client": {"id": "c", "name": "n", "version": "1"},
            "token": "t",
            "capabilities": {},
        }
        decoded, result = core.dispatcher.initialize(hello, role_of)
        assert (result.version, result.role, decoded.client.id) == (1, "observer", "c")
        with pytest.raises(UnsupportedVersion) as caught:
            core.dispatcher.initialize({**hello, "versions": [99]}, role_of)
        assert caught.value.data.supported == [1]
        assert seen == ["t", "t"]
        with pytest.raises(InvalidParams):
            core.dispatcher.initialize({**hello, "versions": "x"}, role_of)


async def test_urgent_calls_are_answered_at_once_and_no_others() -> None:
    async with core_running() as core:
        client = core.client()
        await client.create()
        at_once = core.dispatcher.immediate
        assert at_once(client._caller, "ping", {}) is not None
        assert at_once(client._caller, "session/cancel", {"sessionId": "s"}) is not None
        assert at_once(client._caller, "session/cancel", {"sessionId": "absent"}) is None
        assert at_once(client._caller, "session/list", {}) is None
        with pytest.raises(InvalidParams):
            at_once(client._caller, "session/cancel", {})
        with pytest.raises(Forbidden):
            at_once(core.client(role="observer")._caller, "session/cancel", {"sessionId": "s"})
