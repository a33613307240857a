"""Each fault of `tests/fakes/vendors/faults`, with each vendor, by the real SDKs: a typed end, in time."""

from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from vendor_models import KEY, assistant, completed, model_of, step

from fakes.vendors.script import FOLDER, Script, Vendor, load
from holdfast_daemon.models.base import ModelError, StepEvent, TextPart, ToolCallPart
from holdfast_daemon.models.errors import RETRYABLE
from holdfast_daemon.models.exchange import Limits
from holdfast_daemon.models.retry import RetryPolicy

_LIMITS: dict[str, Any] = {"first_byte_s": 5.0, "idle_s": 5.0, "total_s": 10.0}


def _cases() -> list[Any]:
    return [
        pytest.param(path, vendor, id=f"{path.stem}-{vendor}")
        for path in sorted(FOLDER.glob("*.yaml"))
        for vendor in load(path).vendors
    ]


@pytest.mark.parametrize(("path", "vendor"), _cases())
async def test_a_fault_ends_in_its_typed_error_within_its_limit(path: Path, vendor: Vendor) -> None:
    script = load(path)
    limits = Limits(**{**_LIMITS, **script.limits})
    retries = RetryPolicy(tries_max=script.tries_max, base_s=0.001)
    async with model_of(vendor, *script.replies, limits=limits, retries=retries) as (model, server):
        with anyio.fail_after(limits.total_s + 1):
            if script.expect.kind is None:
                _check_response(script, await step(model))
            else:
                with pytest.raises(ModelError) as raised:
                    await step(model)
                _check_error(script, raised.value)
        assert len(server.requests) == script.expect.requests


def _check_response(script: Script, events: list[StepEvent]) -> None:
    expected = script.expect
    parts = assistant(events).parts
    if expected.text is not None:
        assert [part.text for part in parts if isinstance(part, TextPart)] == [expected.text]
    if expected.calls is not None:
        assert sum(isinstance(part, ToolCallPart) for part in parts) == expected.calls
    if expected.stop_reason is not None:
        assert completed(events).stop_reason == expected.stop_reason


def _check_error(script: Script, error: ModelError) -> None:
    info = error.info
    assert info.kind == script.expect.kind
    assert info.retryable == (info.kind in RETRYABLE)
    assert info.provider is not None
    assert KEY[:8] not in msgspec.json.encode(info).decode()  # Nor a part, as providers like to show.
    assert script.expect.says is None or script.expect.says in info.message
    assert script.expect.retry_after_ms is None or info.retry_after_ms == script.expect.retry_after_ms
