"""The exit code equals the outcome (README, "Exit codes")."""

from typing import Any

import pytest
from shell_world import wire_form

from holdfast_client.shell import exit_codes
from holdfast_protocol import errors, events
from holdfast_protocol.events import ErrorInfo, Usage


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (events.RunCompleted(stop_reason="end_turn", usage=Usage(), duration_ms=1, steps=1), 0),
        (events.RunCompleted(stop_reason="max_steps", usage=Usage(), duration_ms=1, steps=200), 3),
        (events.RunFailed(error=ErrorInfo(kind="protocol", message="nonsense")), 1),
        (events.RunFailed(error=ErrorInfo(kind="auth", message="no such key", status=401)), 4),
        (events.RunFailed(error=ErrorInfo(kind="rate_limited", message="later", retryable=True)), 75),
        (events.RunCancelled(by="shell"), 130),
        (events.RunInterrupted(cause="daemon_stopped"), 75),
    ],
)
def test_each_end_of_a_run_has_its_code(event: events.Terminal, code: int) -> None:
    assert exit_codes.of_terminal(wire_form(event)) == code


CODE_OF_KIND = {
    "auth_required": 69,
    "not_initialized": 69,
    "unsupported_version": 69,
    "not_found": 6,
    "invalid_params": 2,
    "too_large": 2,
    "cursor_invalid": 2,
    "forbidden": 5,
    "overloaded": 75,
    "busy": 75,
    "draining": 75,
    "storage_unavailable": 75,
}


@pytest.mark.parametrize("error", errors.ERRORS, ids=lambda error: error.kind)
def test_each_refusal_has_its_code(error: type[errors.RpcError]) -> None:
    """Kinds not named above fail for good: 1."""
    data: dict[str, Any] = {"retryable": error.retryable}

    assert exit_codes.of_refusal(error.kind, data) == CODE_OF_KIND.get(error.kind, 1)


def test_something_else_than_a_session_that_is_missing_is_a_plain_failure() -> None:
    assert exit_codes.of_refusal("not_found", {"resource": "model"}) == exit_codes.FAILED
