"""Tries again before anything of a response came; never after: what is in the log is not said twice.

The only retry there is: the SDKs' own are off. Full jitter, doubling, and the provider's Retry-After as the
least wait. Each wait is an event, and a cancellation ends it at once.
"""

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import anyio
import msgspec

from holdfast_daemon.models.base import ModelError, RetryScheduled, StepEvent
from holdfast_protocol.events import ErrorInfo


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and how long in between. Times in seconds.

    Attributes:
        tries_max: the first included.
        base_s: the longest wait after the first failure; doubles with each, up to `wait_s_max`.
        total_s: of all waits; a try that would begin later is not made.
        retry_after_s_max: a longer Retry-After is an error that says when.
    """

    tries_max: int = 6
    base_s: float = 0.5
    wait_s_max: float = 30.0
    total_s: float = 120.0
    retry_after_s_max: float = 60.0


async def with_retries(
    attempt: Callable[[], AsyncGenerator[StepEvent]],
    policy: RetryPolicy,
    uniform: Callable[[float, float], float] = random.uniform,
) -> AsyncGenerator[StepEvent]:
    """Stream the first attempt that gives anything.

    Args:
        attempt: starts a response; called again after each failure that a retry may help.
        policy: the bounds.
        uniform: gives a number between two; the jitter.

    Raises:
        ModelError: the last attempt's, or that of one that broke off.
    """
    waited_s = 0.0
    tried = 0
    while True:
        tried += 1
        began = False
        try:
            async with aclosing(attempt()) as stream:
                async for event in stream:
                    began = True
                    yield event
        except ModelError as error:
            if began:
                raise
            delay_s = _delay_s(error.info, tried, policy, uniform)
            if delay_s is None or waited_s + delay_s > policy.total_s:
                raise
            failed = error
        else:
            return
        yield RetryScheduled(
            attempt=tried,
            delay_ms=round(delay_s * 1000),
            error=failed.info,
            usage=failed.usage,
            cost=failed.cost,
        )
        await anyio.sleep(delay_s)
        waited_s += delay_s


def _delay_s(
    info: ErrorInfo, tried: int, policy: RetryPolicy, uniform: Callable[[float, float], float]
) -> float | None:
    """Give the wait before the next try; None: there is none."""
    if not info.retryable or tried >= policy.tries_max:
        return None
    asked_s = (info.retry_after_ms or 0) / 1000
    if asked_s > policy.retry_after_s_max:
        return None
    jitter_s = uniform(0.0, min(policy.wait_s_max, policy.base_s * 2 ** (tried - 1)))
    return asked_s + jitter_s
