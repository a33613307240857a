"""Tokens: the right one always passes, wrong ones are slowed, only digests are kept."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.net.auth import Tokens, load_owner_token
from holdfast_protocol.errors import AuthRequired


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    return Tokens("right", failures_max=3, window_s=60.0, clock=clock)


def refusal(tokens: Tokens, token: str | None) -> AuthRequired:
    with pytest.raises(AuthRequired) as caught:
        tokens.principal_of(token)
    return caught.value


def test_the_owners_token_is_a_controllers(tokens: Tokens) -> None:
    assert tokens.principal_of("right").role == "controller"


@pytest.mark.parametrize(
    "token",
    [None, "", "wrong", "righ", "right ", "RIGHT", "rïght", "\U0001f511", "\ud800", "right\0", "x" * 10_000],
)
def test_any_other_is_refused_whatever_it_is_made_of(tokens: Tokens, token: str | None) -> None:
    error = refusal(tokens, token)
    assert (error.data.resource, error.data.limit) == ("token", None)
    assert "right" not in str(error)


@given(st.text())
def test_no_text_but_the_token_passes(token: str) -> None:
    tokens = Tokens("right", failures_max=3, window_s=60.0, clock=lambda: 1.0)
    if token == "right":
        assert tokens.principal_of(token).role == "controller"
    else:
        refusal(tokens, token)


def test_so_many_wrong_ones_are_answered_and_the_next_told_to_wait(tokens: Tokens, clock: Clock) -> None:
    for _ in range(3):
        assert refusal(tokens, "wrong").data.retry_after_ms is None
        clock.now += 1
    error = refusal(tokens, "wrong")
    assert (error.data.limit, error.data.limit_value) == ("auth_failures_max", 3)
    assert error.data.retry_after_ms == 57_000


def test_the_right_one_passes_however_many_wrong_ones_came_before(tokens: Tokens) -> None:
    for _ in range(50):
        refusal(tokens, "wrong")
        assert tokens.principal_of("right").role == "controller"


def test_failures_are_forgotten_when_their_time_is_over(tokens: Tokens, clock: Clock) -> None:
    for _ in range(4):
        refusal(tokens, "wrong")
    clock.now += 59.9
    assert refusal(tokens, "wrong").data.limit == "auth_failures_max"
    clock.now += 0.2
    assert refusal(tokens, "wrong").data.limit is None


def test_being_told_to_wait_does_not_make_the_wait_longer(tokens: Tokens, clock: Clock) -> None:
    for _ in range(3):
        refusal(tokens, "wrong")
    for _ in range(59):
        clock.now += 1
        assert refusal(tokens, "wrong").data.limit == "auth_failures_max"
    clock.now += 1
    assert refusal(tokens, "wrong").data.limit is None


def test_the_token_itself_is_not_kept(tokens: Tokens) -> None:
    assert "right" not in repr(vars(tokens))


# The owner's token on the disk -------------------------------------------------------------------------


def test_a_token_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = load_owner_token(path)
    assert len(token) >= 43
    assert load_owner_token(path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_owner_token(tmp_path / "other") != token


def test_a_part_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "token.part").write_text("half")
    assert load_owner_token(tmp_path / "token") != "half"
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


@pytest.mark.parametrize("content", [b"", b"\n", b"   ", b"\xff\xfe\x00garbage", "t\u00f6ken".encode()])
def test_a_file_that_holds_no_token_is_replaced_by_one_that_does(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    token = load_owner_token(path)
    assert token.isascii()
    assert len(token) >= 43
    assert path.read_text() == token
