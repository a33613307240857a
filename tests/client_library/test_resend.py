"""Which calls may be made twice (design 4, idempotency; design 10, reconnecting)."""

import itertools

import msgspec
import pytest

from holdfast_client.core.resend import keyed, may_resend
from holdfast_protocol.content import TextBlock
from holdfast_protocol.methods import CALLS
from holdfast_protocol.methods.prompt import SessionCancelParams, SessionPromptParams
from holdfast_protocol.methods.session import SessionGetParams, SessionUpdateParams

NEVER = {
    "daemon/shutdown",  # A daemon that came back would be stopped again.
    "daemon/drain",  # As daemon/shutdown: it ends the daemon that answers it.
    "mcp/restart",  # It would end calls that the server it started has taken since.
    "session/cancel",  # Without a run it could hit another one.
    "token/create",  # There would be two.
    "tool/complete",  # The call is gone with its connection.
    "tool/output",
}


SAME_TWICE = {
    "command/list",  # These start what was not started, and else look.
    "mcp/list",
    "plugin/list",
    "plugin/reload",
    "rule/remove",
    "token/list",
    "token/revoke",
    "tool/register",
    "trust/remove",
}


@pytest.fixture
def ids():
    numbers = itertools.count(1)
    return lambda: f"id{next(numbers)}"


def prompt(**more):
    return SessionPromptParams(session_id="s", content=(TextBlock(text="hi"),), **more)


def test_a_prompt_gets_an_id_that_is_its_key(ids):
    params = keyed(prompt(), ids)
    assert (params.prompt_id, params.key) == ("id1", None)


@pytest.mark.parametrize("given", [{"prompt_id": "mine"}, {"key": "mine"}])
def test_a_prompt_that_has_an_id_or_a_key_is_left_alone(ids, given):
    assert keyed(prompt(**given), ids) == prompt(**given)


def test_a_changing_call_gets_a_key_and_a_read_gets_none(ids):
    assert keyed(SessionUpdateParams(session_id="s"), ids).key == "id1"
    assert keyed(SessionGetParams(session_id="s"), ids) == SessionGetParams(session_id="s")


def test_a_key_of_the_callers_own_is_kept(ids):
    assert keyed(SessionUpdateParams(session_id="s", key="mine"), ids).key == "mine"


KEYABLE = [
    name
    for name, row in CALLS.items()
    if {"key", "prompt_id"} & {field.name for field in msgspec.structs.fields(row.params)}
]


@pytest.mark.parametrize("name", KEYABLE)
def test_a_method_that_takes_a_key_may_be_resent_with_one(name):
    assert may_resend(name, {"key": "k"})


@pytest.mark.parametrize("name", sorted(CALLS))
def test_without_a_key_only_what_reads_or_is_the_same_twice_may_be_resent(name):
    row = CALLS[name]
    if row.role == "observer":
        assert may_resend(name, {})
    elif name in NEVER or name in KEYABLE:
        assert not may_resend(name, {})
    else:
        assert name in SAME_TWICE
        assert may_resend(name, {})


@pytest.mark.parametrize(
    ("method", "member"),
    [
        ("session/create", "sessionId"),
        ("session/fork", "newSessionId"),
        ("session/prompt", "promptId"),
        ("request/respond", "requestId"),
    ],
)
def test_an_id_that_is_a_key_by_itself_counts_as_one(method, member):
    assert may_resend(method, {member: "x"})


def test_a_prompts_id_is_no_key_of_other_calls():
    assert not may_resend("queue/update", {"promptId": "p", "position": 1})


@pytest.mark.parametrize(
    ("members", "may"),
    [
        ({}, False),
        ({"run_id": "r1"}, True),
        ({"tool_call_id": "t1"}, True),
        ({"run_id": "r1", "clear_queue": True}, False),
    ],
)
def test_a_cancel_is_resent_only_if_it_names_what_it_cancels(members, may):
    assert may_resend("session/cancel", SessionCancelParams(session_id="s", **members)) is may


def test_a_method_that_is_not_in_the_table_is_resent_only_with_a_key():
    assert not may_resend("x/y", {})
    assert may_resend("x/y", {"key": "k"})
