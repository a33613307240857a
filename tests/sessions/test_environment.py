"""What tools see of a client's environment."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.sessions.environment import ALLOWED, allowed_environment
from holdfast_protocol.errors import InvalidParams

ROOM = 64 * 1024

SECRETS = {
    "ANTHROPIC_API_KEY": "sk",
    "AWS_SECRET_ACCESS_KEY": "s",
    "GITHUB_TOKEN": "t",
    "SSH_AUTH_SOCK": "/s",
    "LD_PRELOAD": "/evil.so",
    "PYTHONPATH": "/evil",
    "HOLDFAST_HOME": "/h",
    "BASH_ENV": "/evil",
    "path": "/lower",
}


def test_names_on_the_list_are_kept_as_they_are() -> None:
    env = {name: f"value of {name}" for name in ALLOWED}
    assert allowed_environment(env, ROOM) == env


@pytest.mark.parametrize("name", SECRETS)
def test_no_other_name_is_kept(name: str) -> None:
    assert name not in allowed_environment(SECRETS, ROOM)


def test_nothing_of_the_daemons_own_environment_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ALLOWED:
        monkeypatch.setenv(name, "the daemon's own")
    assert "the daemon's own" in os.environ.values()
    assert "the daemon's own" not in allowed_environment({}, ROOM).values()


def test_a_tool_always_has_a_path_and_an_encoding() -> None:
    found = allowed_environment({}, ROOM)
    assert found["PATH"].split(":")[-1] == "/bin"
    assert found["LANG"] == "C.UTF-8"
    assert allowed_environment({"PATH": "/mine"}, ROOM)["PATH"] == "/mine"


def test_a_value_with_a_nul_is_refused() -> None:
    with pytest.raises(InvalidParams) as caught:
        allowed_environment({"PATH": "/a\0/b"}, ROOM)
    assert caught.value.data.path == "$.env"
    assert "EVIL" not in allowed_environment({"EVIL": "\0"}, ROOM)


def test_an_environment_at_the_limit_is_taken_and_one_byte_more_refused() -> None:
    bare = len(b'{"PATH":""}')
    assert allowed_environment({"PATH": "x" * (ROOM - bare)}, ROOM)["PATH"]
    with pytest.raises(InvalidParams) as caught:
        allowed_environment({"PATH": "x" * (ROOM - bare + 1)}, ROOM)
    assert (caught.value.data.limit, caught.value.data.limit_value) == ("env_bytes_max", ROOM)
    assert "JUNK" not in allowed_environment({"JUNK": "x" * 2 * ROOM}, ROOM)


@given(st.dictionaries(st.text(max_size=12) | st.sampled_from(sorted(ALLOWED)), st.text(max_size=12)))
def test_whatever_a_client_sends_only_listed_names_come_out(env: dict[str, str]) -> None:
    try:
        found = allowed_environment(env, ROOM)
    except InvalidParams:
        assert any("\0" in value for name, value in env.items() if name in ALLOWED)
        return
    assert set(found) <= ALLOWED
    assert all(found[name] == value for name, value in env.items() if name in ALLOWED)
